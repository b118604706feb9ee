"""Owns the record of a transport: everything that commands know about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HEADERS = (
    "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Transport",
    "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Opened",
)
"""Headers of a caller's request that reach the agent: the transport of the call, and that it needs
a session that the session server has opened."""


@dataclass(frozen=True)
class Transport:
    """A way from a caller to the agent, with what helps to choose it."""

    name: str
    title: str
    summary: str
    audio: str
    """Sound of the audio on networks that lose packets."""
    effort: str
    """Work to set it up."""
    best_for: str
    pipecat_extras: tuple[str, ...]
    """Extras of pipecat-ai that the agent needs for this transport."""
    client: str = ""
    """Module of `voicecore talk` that speaks it; empty if only a telephone does."""
    client_library: str = ""
    """Library that `client` needs beyond the extra `talk`; the extra of the transport's name
    installs it."""
    invoked: bool = False
    """True when a call begins with a request to /invocations; otherwise it begins at /ws."""
    turn: bool = False
    """True when caller and agent meet at a TURN relay, with credentials that the project issues."""
    udp_ports: tuple[tuple[int, int], ...] = ()
    """UDP ports that the agent must reach, as ranges (first, last); none if everything is TCP."""
    browser: bool = True
    """True when the page speaks it."""
    by_phone: bool = False
    """True when callers come through a phone provider, whose calls the session server takes."""
    webhooks: bool = False
    """True when the service that carries the calls sends requests to the session server."""
    not_public: str = ""
    """Reason why AgentCore's PUBLIC network cannot carry it; empty if it can."""
    internet: str = ""
    """What its calls need on the internet, for a list; empty if VPC endpoints are enough."""
    key: str = ""
    """Variable with the API key of the service that carries the calls; empty without one."""

    @property
    def template(self) -> Path:
        """Folder of the files that this transport adds to a project."""
        return Path(__file__).with_name(self.name) / "template"

    @property
    def in_talk(self) -> bool:
        """True when `voicecore talk` speaks it with the extra `talk` alone."""
        return bool(self.client) and not self.client_library
