"""Owns sessions of a runtime with a JWT authorizer: a token takes the place of AWS's signature.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-oauth.html
"""

from __future__ import annotations

import uuid

import aiohttp

from voicecore.aws.runtime_sessions import SESSION_HEADER, RuntimeAddress
from voicecore.console.proxies import proxy_for
from voicecore.talk.agents.source import SessionSource
from voicecore.talk.session_client import ServerUnreachable, SessionRefused, StartedSession

_SECONDS = 10


class BearerRuntime(SessionSource):
    """Sessions of a runtime that takes this token."""

    is_ours, is_aws = False, True
    advice = (
        "401: the token has expired, or its audience or client is not one of the runtime's "
        "authorizer.\n"
        "403: the runtime may take AWS's signature instead: omit --token-env.\n"
        "424: the agent failed; its log in CloudWatch says why."
    )

    def __init__(self, address: RuntimeAddress, token: str) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}"}

    async def start(self) -> StartedSession:
        """Return a new session."""
        return self._session(str(uuid.uuid4()))

    async def resume(self, session: StartedSession) -> StartedSession:
        """Return the same session."""
        return self._session(session.id)

    def _session(self, id: str) -> StartedSession:
        url = self._address.url("ws", id).replace("http", "ws", 1)  # http → ws, https → wss
        return StartedSession(id, "", url, headers=self._headers)

    async def stop(self, session: StartedSession) -> None:
        """Stop the session, which ends its cost. Raises ServerUnreachable or SessionRefused."""
        url = self._address.url("stopruntimesession")
        headers = {**self._headers, SESSION_HEADER: session.id}
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as http,
                http.post(url, json={}, proxy=proxy_for(url)) as answer,
            ):
                if answer.status not in (200, 404, 409):  # it has ended, or is being ended
                    raise SessionRefused(
                        f"AWS did not stop session {session.id} ({answer.status}).", self.advice
                    )
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise ServerUnreachable(f"Could not stop session {session.id}: {reason}.") from error
