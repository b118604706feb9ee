"""Leave to use one repository of a registry: asked for when it is wanted, and renewed in time.

distribution.github.io/distribution/spec/auth/token; ECR wants its token as a password (RFC 7617).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping

import aiohttp
from yarl import URL

from voicecore.image.registry.credentials import HelperFailed, Login, Source
from voicecore.image.registry.errors import not_logged_in
from voicecore.image.registry.http import PASSING, Answer, Trouble, answer_of, reason
from voicecore.image.registry.reference import Reference


class Authorization:
    """What a registry lets us do in `reference`, by the logins of `source`.

    `actions` are what it is asked leave for: "pull", or "pull,push".
    """

    def __init__(
        self, reference: Reference, source: Source, actions: str, session: aiohttp.ClientSession
    ) -> None:
        self._reference = reference
        self._source = source
        self._scopes = {f"repository:{reference.repository}:{actions}"}
        self._may_be_anonymous = actions == "pull"
        self._session = session
        self._header: str | None = None
        self._expires = float("inf")
        self._challenge = ""
        self._renewing = asyncio.Lock()
        self.helper_failed: HelperFailed | None = None
        """Why Docker's own login could not be read, if it could not."""

    async def header(self) -> str | None:
        """What to send as Authorization now; None until a registry has asked for it."""
        if self._header and time.monotonic() > self._expires:
            await self.renew("", self._header)
        return self._header

    async def extend(self, scope: str) -> None:
        """Ask for leave to do more, from now on."""
        if scope not in self._scopes:
            self._scopes.add(scope)
            if self._header and self._header.startswith("Bearer "):
                await self.renew("", self._header)

    async def renew(self, challenge: str, used: str | None) -> None:
        """Log in as `challenge` asks, unless another task has done so since `used` was used.

        An empty challenge is the last one again. Raises NotLoggedIn, HelperFailed, Trouble, and
        what the source of logins raises.
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
                raise self.helper_failed or not_logged_in(self._reference)

    async def _login(self) -> Login | None:
        try:
            return await asyncio.to_thread(self._source)
        except HelperFailed as error:
            # A config.json that names a helper long removed must not stop what needs no login.
            self.helper_failed = error
            return None

    async def _token(self, challenge: Mapping[str, str], login: Login | None) -> str:
        answer = await self._ask_token(challenge, login)
        if answer.status in {400, 401, 403} and login and self._may_be_anonymous:
            # public.ecr.aws refuses a login that has expired, though it wants none.
            answer = await self._ask_token(challenge, None)
        if answer.status != 200:
            raise not_logged_in(self._reference, answer.said)
        told = json.loads(answer.body)
        # Token spec: 60 s if it does not say; renewed a little early.
        self._expires = time.monotonic() + max(int(told.get("expires_in") or 60), 60) - 10
        return str(told.get("token") or told["access_token"])

    async def _ask_token(self, challenge: Mapping[str, str], login: Login | None) -> Answer:
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
                response = await self._session.post(url, data=form)
            else:
                query = [*fields, *(("scope", scope) for scope in scopes)]
                headers = {"Authorization": login.basic()} if login else {}
                response = await self._session.get(url.extend_query(query), headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Trouble(f"{url.host}: {reason(error)}") from error
        answer = await answer_of(response)
        if answer.status in PASSING:
            raise Trouble(answer.said, answer.pause)
        return answer
