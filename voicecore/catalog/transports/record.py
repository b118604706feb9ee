"""The record of a transport: all that commands know of a way that audio reaches the agent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HEADERS = ("X-Amzn-Bedrock-AgentCore-Runtime-Custom-Transport",)
"""Request headers that AgentCore passes to the agent. This one names the transport (app.py)."""


@dataclass(frozen=True)
class Transport:
    """A way from a caller to the agent, with what helps to choose it."""

    name: str
    title: str
    summary: str
    consistency: str
    effort: str
    best_for: str
    pipecat_extras: tuple[str, ...]
    """Extras of pipecat-ai that the agent needs for this transport."""
    invoked: bool = False
    """Whether calls begin by a request to /invocations; else by one to /ws."""
    turn: bool = False
    """Whether caller and agent meet at a TURN relay, whose credentials the project hands out."""
    udp_ports: tuple[tuple[int, int], ...] = ()
    """UDP ports that the agent must reach: ranges, first and last; none where all is TCP."""
    browser: bool = True
    """Whether the page speaks it."""
    serves: bool = False
    """Whether its callers reach the agent through the session server, by a telephone provider."""
    not_public: str = ""
    """Why AgentCore's PUBLIC network cannot carry it; empty where it can."""
    spoken: bool = True
    """Whether `voicecore talk` speaks it by what its extra `talk` brings."""
    library: str = ""
    """The module by which `talk` speaks it else; an extra of the transport's name brings it."""
    key: str = ""
    """The variable with the key of whoever carries the calls; empty where that is nobody."""
    doors: bool = False
    """Whether calls come to the session server from elsewhere than its own clients."""

    @property
    def template(self) -> Path:
        """Folder of the files that it adds to a project."""
        return Path(__file__).with_name(self.name) / "template"
