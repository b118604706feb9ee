"""Owns what a call needs of the part that gives it sessions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from voicecore.talk.session_client import StartedSession


class SessionSource(Protocol):
    """Starts, resumes and stops sessions of one agent. Raises VoicecoreError."""

    is_ours: bool
    """True if the agent says when it is ready, as those of our projects do."""
    is_aws: bool
    """True if AWS answers the handshake."""
    advice: str
    """Hint for a call that cannot be connected."""

    async def start(self) -> StartedSession:
        """Start a session."""
        ...

    async def resume(self, session: StartedSession) -> StartedSession:
        """Return the same session with fresh credentials."""
        ...

    async def stop(self, session: StartedSession) -> None:
        """End the session, so that its silence is not billed."""
        ...


class OfferSource(SessionSource, Protocol):
    """Also takes WebRTC offers."""

    async def offer(self, session: StartedSession, offer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the agent's answer to a WebRTC offer."""
        ...


class OpenSocket(SessionSource):
    """A WebSocket at a URL: its connection is the session."""

    is_ours = is_aws = False
    advice = "Does the agent run? Its own log shows why it refuses the connection."

    def __init__(self, url: str, token: str = "") -> None:
        """`token` opens it, if it is not open for everyone."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else dict[str, str]()

    async def start(self) -> StartedSession:
        """Return the URL as a session."""
        return StartedSession(str(uuid.uuid4()), "", self._url, headers=self._headers)

    async def resume(self, session: StartedSession) -> StartedSession:
        """Return the same."""
        return session

    async def stop(self, session: StartedSession) -> None:
        """Do nothing: the end of the connection ends it."""
