"""Owns the Authorization header for one repository: requested on demand, renewed before it expires.

distribution.github.io/distribution/spec/auth/token; ECR takes its token as a password (RFC 7617).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping

import aiohttp
from yarl import URL

from voicecore.image.registry.credentials import CredentialHelperFailed, LoginSource, RegistryLogin
from voicecore.image.registry.errors import not_logged_in
from voicecore.image.registry.http import (
    RETRYABLE,
    RegistryAnswer,
    TransientError,
    logged_in,
    read_answer,
    reason_of,
)
from voicecore.image.registry.reference import Reference


class Authorization:
    """Permission to use `reference`, obtained with the logins of `source`.

    `actions` is the scope that the registry is asked for: "pull", or "pull,push".
    """

    def __init__(
        self,
        reference: Reference,
        source: LoginSource,
        actions: str,
        session: aiohttp.ClientSession,
    ) -> None:
        self._reference = reference
        self._source = source
        self._scopes = {f"repository:{reference.repository}:{actions}"}
        self._anonymous_allowed = actions == "pull"
        self._session = session
        self._header: str | None = None
        self._expires = float("inf")
        self._challenge = ""
        self._renewing = asyncio.Lock()
        self.helper_error: CredentialHelperFailed | None = None
        """Error of Docker's credential helper; None if there was none."""

    async def header(self) -> str | None:
        """Return the current header value; None until a registry has asked for a login."""
        if self._header and time.monotonic() > self._expires:
            await self.renew("", self._header)
        return self._header

    async def add_scope(self, scope: str) -> None:
        """Ask for one more scope from now on."""
        if scope not in self._scopes:
            self._scopes.add(scope)
            if self._header and self._header.startswith("Bearer "):
                await self.renew("", self._header)

    async def renew(self, challenge: str, used: str | None) -> None:
        """Log in as `challenge` asks, unless another task has replaced the header `used` already.

        An empty challenge repeats the last one. Raises NotLoggedIn, CredentialHelperFailed,
        TransientError, and what the login source raises.
        """
        async with self._renewing:
            if self._header != used:
                return
            self._challenge = challenge or self._challenge
            login = await self._login()
            scheme, _, rest = self._challenge.partition(" ")
            values = dict(re.findall(r'(\w+)="([^"]*)"', rest))
            if scheme.lower() == "bearer" and "realm" in values:
                self._header = f"Bearer {await self._token(values, login)}"
            elif login and not login.identity_token:
                self._header, self._expires = login.basic(), float("inf")
            else:
                raise self.helper_error or not_logged_in(self._reference)

    async def _login(self) -> RegistryLogin | None:
        try:
            return await asyncio.to_thread(self._source)
        except CredentialHelperFailed as error:
            # A config.json that names an uninstalled helper must not stop what needs no login.
            self.helper_error = error
            return None

    async def _token(self, challenge: Mapping[str, str], login: RegistryLogin | None) -> str:
        answer = await self._request_token(challenge, login)
        if answer.status in {400, 401, 403} and login and self._anonymous_allowed:
            # public.ecr.aws refuses an expired login, although it needs none.
            answer = await self._request_token(challenge, None)
        if answer.status != 200:
            raise not_logged_in(self._reference, answer.summary)
        try:
            token = json.loads(answer.body)
            # Token spec: 60 s by default. It is renewed 10 s early.
            self._expires = time.monotonic() + max(int(token.get("expires_in") or 60), 60) - 10
            value = str(token.get("token") or token["access_token"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise not_logged_in(self._reference, "its token service sent no token") from None
        if not value.isascii() or not value.isprintable():  # it becomes a header
            raise not_logged_in(self._reference, "its token service sent no token")
        return value

    async def _request_token(
        self, challenge: Mapping[str, str], login: RegistryLogin | None
    ) -> RegistryAnswer:
        scopes = sorted(self._scopes | set(challenge.get("scope", "").split()))
        fields = [("service", challenge.get("service", ""))]
        url = URL(challenge["realm"])
        try:
            if login and login.identity_token:
                # The refresh-token flow (distribution's spec/auth/oauth).
                form = [
                    *fields,
                    ("scope", " ".join(scopes)),
                    ("grant_type", "refresh_token"),
                    ("client_id", "voicecore"),
                    ("refresh_token", login.identity_token),
                ]
                response = await self._session.post(
                    url, data=form, middlewares=logged_in(None, url)
                )
            else:
                query = [*fields, *(("scope", scope) for scope in scopes)]
                middlewares = logged_in(login.basic() if login else None, url)
                response = await self._session.get(url.extend_query(query), middlewares=middlewares)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransientError(f"{url.host}: {reason_of(error)}") from error
        answer = await read_answer(response)
        if answer.status in RETRYABLE:
            raise TransientError(answer.summary, answer.retry_after)
        return answer
