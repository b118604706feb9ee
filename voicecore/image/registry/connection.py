"""Owns HTTP with one registry: logins, retries, proxies and certificates.

Protocol: opencontainers/distribution-spec v1.1, spec.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from yarl import URL

from voicecore.image.registry.auth import Authorization
from voicecore.image.registry.credentials import LoginSource
from voicecore.image.registry.errors import (
    is_full,
    is_pull_limit,
    not_trusted,
    refusal,
    unreachable,
)
from voicecore.image.registry.http import (
    RETRYABLE,
    RegistryAnswer,
    TransientError,
    has_origin,
    logged_in,
    read_answer,
    reason_of,
)
from voicecore.image.registry.reference import Reference, is_loopback

PAUSES = (0.5, 1, 2, 4, 8)
"""Seconds before each retry after a network failure: five retries in a quarter of a minute."""

_CONNECT_SECONDS = 15
_SILENT_SECONDS = 60
"""Limit for a registry that neither accepts nor sends a byte."""

T = TypeVar("T")

BlobContent = Callable[[], AsyncIterator[bytes]]
"""Returns a blob's bytes from the start, each time it is called."""


@dataclass(frozen=True)
class Upload:
    """The body of a request."""

    content: BlobContent
    size: int
    on_sent: Callable[[int], None]
    """Takes the number of bytes sent so far."""


class RegistryConnection:
    """HTTP with the registry of `reference`; open it with `async with`.

    `actions` is the scope that the registry is asked for: "pull", or "pull,push". Proxies come from
    HTTP(S)_PROXY and NO_PROXY, certificate authorities from SSL_CERT_FILE.
    """

    def __init__(
        self, reference: Reference, source: LoginSource, actions: str, pauses: Sequence[float]
    ) -> None:
        self._reference = reference
        self._source = source
        self._actions = actions
        self.pauses = pauses
        """Seconds to wait before each retry."""
        self._answered = False

    async def __aenter__(self) -> Self:
        host = self._reference.host
        loopback = is_loopback(host)
        self._session = aiohttp.ClientSession(
            # Like Go's http.ProxyFromEnvironment, which Docker uses: no proxy for loopback.
            trust_env=not loopback,
            # Quoting a presigned URL again would break its signature.
            requote_redirect_url=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
            ),
        )
        try:
            scheme = await self._loopback_scheme() if loopback else "https"
        except BaseException:
            await self._session.close()
            raise
        self.authorization = Authorization(
            self._reference, self._source, self._actions, self._session
        )
        self.root = URL(f"{scheme}://{host}/v2/")
        """URL of the registry's API."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def retrying(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, repeated after network failures.

        Raises RegistryUnreachable.
        """
        pauses = iter(self.pauses)
        while True:
            try:
                return await work()
            except TransientError as error:
                await self.wait(error, next(pauses, None))

    async def wait(self, error: TransientError, pause: float | None) -> None:
        """Sleep before the next attempt; a `pause` of None raises RegistryUnreachable."""
        # A host that has never answered is more likely misspelled than down.
        if pause is None or not self._answered:
            raise unreachable(self._reference.host, str(error), self._answered) from error
        # Jitter, so that clients do not retry at the same moment (AWS Builders' Library, "Timeouts,
        # retries and backoff with jitter").
        jittered = pause * random.uniform(0.5, 1)  # noqa: S311 - not a secret
        await asyncio.sleep(max(error.retry_after, jittered))

    async def request(
        self,
        method: str,
        url: str,
        expected: set[int],
        headers: Mapping[str, str] | None = None,
        upload: Upload | None = None,
    ) -> RegistryAnswer:
        """Return the answer to a request. Raises as `open` does."""
        response = await self.open(method, url, expected, headers or {}, upload)
        return await read_answer(response)

    async def open(
        self,
        method: str,
        url: str,
        expected: set[int],
        headers: Mapping[str, str],
        upload: Upload | None = None,
    ) -> aiohttp.ClientResponse:
        """Return the response to a request before its body is read; logs in if necessary.

        Raises TransientError, or the error for a status that is not `expected`.
        """
        for last_attempt in (False, True):
            used = await self.authorization.header()
            response = await self._send(method, url, headers, used, upload)
            if response.status in expected:
                return response
            answer = await read_answer(response)
            # Another host, such as one of uploads, could name its own token service, which would
            # get our login.
            if last_attempt or not has_origin(response.url, self.root) or not answer.needs_login:
                raise self._failure(method, url, answer)
            await self.authorization.renew(answer.challenge, used)
        raise AssertionError("the loop above returns or raises")

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        authorization: str | None,
        upload: Upload | None,
    ) -> aiohttp.ClientResponse:
        target = URL(url, encoded=True)
        if (target.host, target.explicit_port) == (self.root.host, self.root.explicit_port):
            # Behind a proxy that terminates TLS, registries give http URLs for uploads.
            target = target.with_scheme(self.root.scheme)
        # A registry may have its uploads on another host, which must not get our login.
        login = logged_in(authorization, self.root)
        try:
            if not upload:
                response = await self._session.request(
                    method, target, headers=headers, middlewares=login
                )
            else:
                async with asyncio.timeout(_SILENT_SECONDS) as limit:
                    response = await self._session.request(
                        method,
                        target,
                        headers=headers,
                        middlewares=login,
                        data=_body(upload, limit),
                    )
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise not_trusted(self._reference.host, reason_of(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransientError(reason_of(error)) from error
        self._answered = True
        return response

    def _failure(self, method: str, url: str, answer: RegistryAnswer) -> Exception:
        if self.authorization.helper_error and answer.status in {401, 403}:
            return self.authorization.helper_error
        # 404 for an upload in progress: the registry has lost it, as after a restart.
        lost_upload = method == "PUT" and "/blobs/uploads/" in url and answer.status in {404, 416}
        lasting = is_full(answer.status, answer.summary) or is_pull_limit(
            answer.status, answer.summary
        )
        if lost_upload or (answer.status in RETRYABLE and not lasting):
            return TransientError(answer.summary, answer.retry_after)
        return refusal(answer.status, answer.errors, answer.summary, self._reference)

    async def _loopback_scheme(self) -> str:
        """Return the scheme, https or http, of a registry on this machine."""
        failure: Exception | None = None
        for scheme in ("https", "http"):
            try:
                async with self._session.get(f"{scheme}://{self._reference.host}/v2/"):
                    return scheme
            except aiohttp.ClientConnectorCertificateError:
                return "https"  # the first request reports the certificate
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = error
        raise unreachable(self._reference.host, reason_of(failure), answered=False)


async def _body(upload: Upload, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    """Yield the bytes of `upload`; each chunk taken extends the time limit."""
    done = 0
    async for chunk in upload.content():
        yield chunk
        done += len(chunk)
        upload.on_sent(done)
        limit.reschedule(asyncio.get_running_loop().time() + _SILENT_SECONDS)
