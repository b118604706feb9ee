"""An image registry, spoken to: what a reference means, and one repository held open.

Our own client, as none on PyPI has what a push needs: oras cannot mount blobs or report progress,
python-dxf neither retries nor reads Docker's logins, both block; none renews a token that expires
while a blob is sent. Protocol: opencontainers/distribution-spec v1.1, spec.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urljoin

import aiohttp
from yarl import URL

from voicecore.console.progress import Progress
from voicecore.image.model import PLATFORM, Tell
from voicecore.image.registry.auth import Authorization
from voicecore.image.registry.credentials import Source, ecr_host
from voicecore.image.registry.errors import (
    NotLoggedIn,
    RegistryDenied,
    corrupt,
    image_missing,
    is_full,
    is_limit,
    no_such_platform,
    not_trusted,
    refusal,
    repository_missing,
    unreachable,
)
from voicecore.image.registry.http import CHUNK, PASSING, Answer, Trouble, answer_of, reason
from voicecore.image.registry.manifests import OCI_INDEX, OCI_MANIFEST, digest_of
from voicecore.image.registry.reference import Reference, is_loopback

_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = ", ".join([OCI_INDEX, OCI_MANIFEST, f"{_DOCKER}.list.v2+json", f"{_DOCKER}.v2+json"])

_CONNECT_SECONDS = 15
_SILENT_SECONDS = 60
"""How long a registry may neither take nor give a byte."""

PAUSES = (0.5, 1, 2, 4, 8)
"""Seconds before each further try after trouble on the network: five in a quarter minute."""

T = TypeVar("T")


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as a repository holds it."""

    digest: str
    media_type: str
    raw: bytes = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """Its content."""
        return json.loads(self.raw)


@dataclass(frozen=True)
class RemoteImage:
    """The image for one platform behind a name."""

    digest: str
    """Of what the name stands for: an index of platforms, or a single image."""
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]


def platform_name(platform: Mapping[str, object]) -> str:
    """`os/architecture/variant`; arm64's only variant in use, v8, goes without saying."""
    parts = [str(platform.get(key) or "") for key in ("os", "architecture", "variant")]
    if parts[1:] == ["arm64", "v8"]:
        parts.pop()
    return "/".join(part for part in parts if part)


def entry_for(index: Mapping[str, Any], name: str, platform: str = PLATFORM) -> str:
    """The digest of the manifest for `platform` in an `index`. Raises NoSuchPlatform."""
    entries: dict[str, str] = {}
    for entry in index.get("manifests", ()):
        entries.setdefault(platform_name(entry.get("platform", {})), entry["digest"])
    if platform not in entries:
        # BuildKit files its attestations under unknown/unknown.
        raise no_such_platform(name, platform, [name for name in entries if "unknown" not in name])
    return entries[platform]


Content = Callable[[], AsyncIterator[bytes]]
"""Gives a blob's bytes from its start, each time it is called."""


def file_content(path: Path) -> Content:
    """The bytes of a file."""

    def chunks() -> AsyncIterator[bytes]:
        return _read(path)

    return chunks


async def _read(path: Path) -> AsyncIterator[bytes]:
    # From the page cache in all but odd cases: no thread is worth it.
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


@dataclass(frozen=True)
class _Upload:
    content: Content
    size: int
    sent: Callable[[int], None]
    """Takes the number of bytes sent so far."""


class Repository:
    """One repository of a registry, held open: `async with Repository(...) as repository`.

    `actions` are what the registry is asked leave for: "pull", or "pull,push". Proxies are taken
    from HTTP(S)_PROXY and NO_PROXY, authorities from SSL_CERT_FILE. Every method raises the errors
    of this module, and those of its source of logins.
    """

    def __init__(
        self,
        reference: Reference,
        source: Source,
        actions: str = "pull",
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.reference = reference
        self._source = source
        self._actions = actions
        self._pauses = pauses
        self._answered = False

    async def __aenter__(self) -> Self:
        loopback = is_loopback(self.reference.host)
        self._session = aiohttp.ClientSession(
            # As Go's http.ProxyFromEnvironment, which Docker uses: loopback needs no proxy.
            trust_env=not loopback,
            # Quoting a signed URL anew would break its signature.
            requote_redirect_url=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
            ),
        )
        try:
            scheme = await self._spoken() if loopback else "https"
        except BaseException:
            await self._session.close()
            raise
        self._leave = Authorization(self.reference, self._source, self._actions, self._session)
        self._root = URL(f"{scheme}://{self.reference.host}/v2/")
        self._base = f"{self._root}{self.reference.repository}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def manifest(self, version: str) -> Manifest:
        """The manifest or index under a tag or digest. Raises ImageMissing."""
        found = await self.find(version)
        if not found:
            raise image_missing(self.reference, version)
        return found

    async def find(self, version: str) -> Manifest | None:
        """The manifest or index under a tag or digest; None if there is none.

        Raises RepositoryMissing where a push would not make the repository: at ECR.
        """
        url = f"{self._base}manifests/{version}"
        answer = await self._persist(
            lambda: self._once("GET", url, {200, 404}, headers={"Accept": _ACCEPT})
        )
        if answer.status == 404:
            if ecr_host(self.reference.registry) and "NAME_UNKNOWN" in dict(answer.errors):
                raise repository_missing(self.reference)
            return None
        digest = digest_of(answer.body)
        if version.startswith("sha256:") and version != digest:
            raise corrupt(self.reference, version)
        media_type = answer.headers.get("Content-Type", "").split(";")[0]
        return Manifest(digest, media_type, answer.body)

    async def image(self, version: str, platform: str = PLATFORM) -> RemoteImage:
        """The image for `platform` under a tag or digest. Raises NoSuchPlatform, ImageMissing."""
        name = self.reference.named(version)
        named = await self.manifest(version)
        chosen = named
        if "manifests" in named.document:
            chosen = await self.manifest(entry_for(named.document, name, platform))
        config = json.loads(await self.read(chosen.document["config"]["digest"]))
        if (made_for := platform_name(config)) != platform:
            raise no_such_platform(name, platform, [made_for])
        return RemoteImage(named.digest, chosen.document, config)

    async def read(self, digest: str) -> bytes:
        """A small blob, such as a config, whole and checked. Raises Corrupt."""
        content = b"".join([chunk async for chunk in self.stream(digest)])
        if digest_of(content) != digest:
            raise corrupt(self.reference, digest)
        return content

    async def download(self, digest: str, path: Path, told: Callable[[int], None]) -> None:
        """Write a blob to the file `path`; `told` takes the bytes so far. Raises Corrupt."""
        whole = hashlib.sha256()
        done = 0
        with path.open("wb") as file:
            async for chunk in self.stream(digest):
                whole.update(chunk)
                file.write(chunk)
                done += len(chunk)
                told(done)
        if f"sha256:{whole.hexdigest()}" != digest:
            raise corrupt(self.reference, digest)

    async def stream(self, digest: str) -> AsyncIterator[bytes]:
        """A blob's bytes, unchecked; goes on where it was when the network was lost."""
        url = f"{self._base}blobs/{digest}"
        done = 0
        pauses = iter(self._pauses)
        while True:
            try:
                response = await self._open("GET", url, {200, 206}, _from(done), None)
                try:
                    # A registry that ignores the range starts anew: skip what has been given.
                    skip = done if response.status == 200 else 0
                    async for chunk in response.content.iter_chunked(CHUNK):
                        fresh = chunk[skip:]
                        skip -= len(chunk) - len(fresh)
                        done += len(fresh)
                        if fresh:
                            yield fresh
                    return
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise Trouble(reason(error)) from error
                finally:
                    response.release()
            except Trouble as trouble:
                await self._wait(trouble, next(pauses, None))

    async def push(
        self,
        digest: str,
        size: int,
        content: Content,
        tell: Tell,
        task: str,
        mount_from: str = "",
    ) -> int:
        """Bring a blob of `size` bytes into the repository; returns how many bytes that took.

        What is there is not sent; what the repository `mount_from` of the same registry has is
        mounted. `task` names it in what is told.
        """

        def sent(done: int) -> None:
            tell(Progress(task, done, size))

        # A blob has one digest in all repositories: what one try has sent, the next one finds.
        result = await self._persist(
            lambda: self._push_once(digest, _Upload(content, size, sent), mount_from)
        )
        tell(Progress(task, size, size, finished=True, note=result))
        return 0 if result else size

    async def _push_once(self, digest: str, upload: _Upload, mount_from: str) -> str:
        """Returns why nothing was sent; "" if it was."""
        if await self._has(digest):
            return "there already"
        begun = await self._begin(digest, mount_from)
        if begun.status == 201:
            return "mounted"
        # In one piece: ECR drops every chunk after the first (aws/containers-roadmap#2831), and
        # this is how containerd pushes to every registry.
        place = urljoin(self._base, begun.headers["Location"])
        place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(upload.size)}
        await self._once("PUT", place, {201, 202, 204}, headers, upload)
        return ""

    async def _has(self, digest: str) -> bool:
        url, told = f"{self._base}blobs/{digest}", {200, 400, 403, 404}
        answer = await self._once("HEAD", url, told)
        if answer.status in {400, 403}:
            # A registry cannot say why to a HEAD. To this it can, and a login that has expired is
            # renewed; what is denied all the same, the upload will tell.
            await self._once("GET", str(self._root), {200, 404})
            answer = await self._once("HEAD", url, told)
        return answer.status == 200

    async def _begin(self, digest: str, mount_from: str) -> Answer:
        """The answer to a new upload: 202, or 201 if the blob could be mounted instead."""
        url = f"{self._base}blobs/uploads/"
        if mount_from:
            await self._leave.extend(f"repository:{mount_from}:pull")
            query = urlencode({"mount": digest, "from": mount_from})
            try:
                return await self._once("POST", f"{url}?{query}", {201, 202})
            except (NotLoggedIn, RegistryDenied):
                pass  # we may not read the other repository: then the blob is sent
        return await self._once("POST", url, {202})

    async def push_manifest(self, version: str, media_type: str, raw: bytes) -> str:
        """Put a manifest under a tag or digest; returns its digest. Raises TagTaken."""
        url = f"{self._base}manifests/{version}"

        async def chunks() -> AsyncIterator[bytes]:
            yield raw

        def sent(done: int) -> None:
            del done

        headers = {"Content-Type": media_type, "Content-Length": str(len(raw))}
        upload = _Upload(chunks, len(raw), sent)
        await self._persist(lambda: self._once("PUT", url, {200, 201, 202}, headers, upload))
        return digest_of(raw)

    # ---- one exchange, and its repetition

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, tried again after trouble on the network."""
        pauses = iter(self._pauses)
        while True:
            try:
                return await work()
            except Trouble as trouble:
                await self._wait(trouble, next(pauses, None))

    async def _wait(self, trouble: Trouble, pause: float | None) -> None:
        """Sleep before the next try. Raises RegistryUnreachable if there is none."""
        # A host that has never answered is more likely misspelt than lost.
        if pause is None or not self._answered:
            raise unreachable(self.reference.host, str(trouble), self._answered) from trouble
        # Spread out, so that tries do not meet again (AWS Builders' Library, "Timeouts, retries
        # and backoff with jitter").
        await asyncio.sleep(max(trouble.pause, pause * random.uniform(0.5, 1)))  # noqa: S311 - no secret

    async def _once(
        self,
        method: str,
        url: str,
        expected: set[int],
        headers: Mapping[str, str] | None = None,
        upload: _Upload | None = None,
    ) -> Answer:
        response = await self._open(method, url, expected, headers or {}, upload)
        return await answer_of(response)

    async def _open(
        self,
        method: str,
        url: str,
        expected: set[int],
        headers: Mapping[str, str],
        upload: _Upload | None,
    ) -> aiohttp.ClientResponse:
        """The response to a request, logged in where that is asked for; its body is not read."""
        for last in (False, True):
            used = await self._leave.header()
            response = await self._send(method, url, headers, used, upload)
            if response.status in expected:
                return response
            answer = await answer_of(response)
            if last or not answer.wants_login:
                raise self._failure(method, url, answer)
            await self._leave.renew(answer.challenge, used)
        raise AssertionError("the loop above returns or raises")

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        authorization: str | None,
        upload: _Upload | None,
    ) -> aiohttp.ClientResponse:
        target = URL(url, encoded=True)
        known: dict[str, str] = {}
        # A registry may keep its uploads on another host, which our login is not for.
        if target.host == self._root.host:
            # Behind a proxy that ends TLS, registries name their own uploads by http.
            target = target.with_scheme(self._root.scheme)
            known = {"Authorization": authorization} if authorization else {}
        try:
            if not upload:
                response = await self._session.request(method, target, headers={**headers, **known})
            else:
                async with asyncio.timeout(_SILENT_SECONDS) as limit:
                    response = await self._session.request(
                        method,
                        target,
                        headers={**headers, **known},
                        data=_watched(upload, limit),
                    )
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise not_trusted(self.reference.host, reason(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Trouble(reason(error)) from error
        self._answered = True
        return response

    def _failure(self, method: str, url: str, answer: Answer) -> Exception:
        if self._leave.helper_failed and answer.status in {401, 403}:
            return self._leave.helper_failed
        # 404 of an upload that has begun: the registry has forgotten it, as after a restart.
        forgotten = method == "PUT" and "/blobs/uploads/" in url and answer.status in {404, 416}
        lasting = is_full(answer.status, answer.said) or is_limit(answer.status, answer.said)
        if forgotten or (answer.status in PASSING and not lasting):
            return Trouble(answer.said, answer.pause)
        return refusal(answer.status, answer.errors, answer.said, self.reference)

    async def _spoken(self) -> str:
        """The scheme, https or http, that a registry on this machine speaks."""
        trouble: Exception | None = None
        for scheme in ("https", "http"):
            try:
                async with self._session.get(f"{scheme}://{self.reference.host}/v2/"):
                    return scheme
            except aiohttp.ClientConnectorCertificateError:
                return "https"  # told at the first request
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = error
        raise unreachable(self.reference.host, reason(trouble), answered=False)


async def _watched(upload: _Upload, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    """The bytes of `upload`; each one taken puts off the time limit."""
    done = 0
    async for chunk in upload.content():
        yield chunk
        done += len(chunk)
        upload.sent(done)
        limit.reschedule(asyncio.get_running_loop().time() + _SILENT_SECONDS)


def _from(done: int) -> dict[str, str]:
    return {"Range": f"bytes={done}-"} if done else {}
