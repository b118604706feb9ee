"""The registry of transports: one record per way that audio reaches the agent.

A transport is its record here and its folder in templates/; no command knows any by name.
"""

from __future__ import annotations

from dataclasses import dataclass

HEADERS = ("X-Amzn-Bedrock-AgentCore-Runtime-Custom-Transport",)
"""Headers of a caller that reach the agent: it asks this one how audio comes (agent/app.py)."""


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
    renamed: str = ""
    """Its module in a project, where a library has the transport's own name."""
    doors: bool = False
    """Whether calls come to the session server from elsewhere than its own clients."""

    @property
    def module(self) -> str:
        """Its module in agent/ and in server/."""
        return self.renamed or self.name


TRANSPORTS = {
    transport.name: transport
    for transport in (
        Transport(
            name="websocket",
            title="WebSocket",
            summary="a presigned URL, then audio flows straight between client and AgentCore",
            consistency="good",
            effort="simple",
            best_for="prototypes, light use",
            pipecat_extras=("websocket",),
        ),
        Transport(
            name="webrtc",
            title="WebRTC",
            summary="audio over UDP through a TURN relay, straight to the agent; no media server",
            consistency="excellent",
            effort="medium",
            best_for="production",
            pipecat_extras=("webrtc",),
            invoked=True,
            turn=True,
        ),
        Transport(
            name="telephony",
            title="Telephone",
            summary="a provider's media stream, bridged to the agent by the session server",
            consistency="good",
            effort="medium",
            best_for="telephone numbers",
            pipecat_extras=("websocket",),
            browser=False,
            serves=True,
            spoken=False,
        ),
        Transport(
            name="daily",
            title="Daily",
            summary="a room of Daily's for each call, with phone numbers and SIP if you like",
            consistency="excellent",
            effort="simple",
            best_for="phones, groups",
            pipecat_extras=("daily",),
            invoked=True,
            # Daily's TURN servers, and its media servers (Daily's Networking Guide).
            udp_ports=((443, 443), (3478, 3478), (40_000, 65_534)),
            not_public="Daily's sound goes by UDP, and none gets out of AgentCore's PUBLIC network",
            spoken=False,
            library="daily",
            key="DAILY_API_KEY",
            renamed="daily_room",
            doors=True,
        ),
    )
}
