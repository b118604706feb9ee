"""Owns reaching an agent without a session server of ours, by its URL or its runtime's ARN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from voicecore.aws.login import AwsLogin
from voicecore.aws.runtime_sessions import address_in
from voicecore.catalog.transports import TRANSPORTS
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk import optional_deps
from voicecore.talk.agents.bearer import BearerRuntime
from voicecore.talk.agents.identify import BareAgent, PipecatRunner, SessionServer, identify
from voicecore.talk.agents.runner import Runner
from voicecore.talk.agents.runtime import in_account, read_arn
from voicecore.talk.agents.source import OpenSocket, SessionSource
from voicecore.talk.channel import ChannelFactory
from voicecore.talk.transports.connection import IceOptions
from voicecore.talk.transports.websocket import STREAM_SECONDS, WebSocketConnection
from voicecore.talk.wire.choice import NewWire, named
from voicecore.talk.wire.pipecat import ProtobufWire


class NotSpoken(VoicecoreError):
    """The agent offers no transport that this client speaks, or not the one that was asked for."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint, ExitCode.USAGE)


@dataclass(frozen=True)
class ReachedAgent:
    """An agent that can be called."""

    title: str
    open_channel: ChannelFactory


@dataclass(frozen=True)
class Speaking:
    """A way to speak to an agent."""

    http: aiohttp.ClientSession
    transport: str | None = None
    """Transport that the user named."""
    protocol: str = ""
    """Protocol that the user named; empty to recognize it."""
    ice: IceOptions = field(default_factory=IceOptions)
    token: str = field(default="", repr=False)
    """Bearer token of the agent; empty without one."""

    @property
    def wire(self) -> NewWire | None:
        """The protocol that was named. Raises UnknownProtocol."""
        return named(self.protocol) if self.protocol else None


async def by_url(url: str, speaking: Speaking) -> ReachedAgent | None:
    """Return the agent at the URL; None if a session server of ours answers there.

    Raises ServerUnreachable, NotSpoken or UnknownProtocol.
    """
    if urlsplit(url).scheme in ("ws", "wss"):
        return by_source(url, OpenSocket(url, speaking.token), speaking)
    match await identify(speaking.http, url):
        case SessionServer() | PipecatRunner() if speaking.token:
            raise NotSpoken(
                f"{url} takes no bearer token: no runtime answers there.",
                "Omit --token-env, or name the runtime:  voicecore talk --arn ARN --token-env NAME",
            )
        case SessionServer() if speaking.protocol:
            raise NotSpoken(
                f"{url} answers as a session server: its agent's protocol is known.",
                "Omit --protocol, or give the URL of the WebSocket:  --url wss://…",
            )
        case SessionServer():
            return None
        case BareAgent():
            return by_source(url, OpenSocket(_socket_of(url), speaking.token), speaking)
        case PipecatRunner(listed):
            return ReachedAgent(url, _by_runner(url, listed, speaking))


async def by_arn(
    arn: str, endpoint: str, speaking: Speaking, login: AwsLogin, again: str
) -> ReachedAgent:
    """Return the agent of a runtime: it takes a token, or URLs that this machine signs.

    Raises BadArn or AwsRefused.

    `again` is the command to repeat after a refusal.
    """
    runtime = read_arn(arn)
    if speaking.token:
        address = address_in(runtime.region, runtime.text, runtime.endpoint or endpoint)
        return by_source(runtime.text, BearerRuntime(address, speaking.token), speaking)
    return by_source(runtime.text, await in_account(runtime, endpoint, login, again), speaking)


def by_source(title: str, source: SessionSource, speaking: Speaking) -> ReachedAgent:
    """Return the agent whose sessions are WebSockets. Raises UnknownProtocol."""
    return ReachedAgent(title, _by_socket(source, speaking, speaking.wire))


def _by_socket(source: SessionSource, speaking: Speaking, wire: NewWire | None) -> ChannelFactory:
    return lambda deliver, quiet: WebSocketConnection(
        speaking.http, source, deliver, quiet, STREAM_SECONDS, wire
    )


def _by_runner(url: str, listed: Sequence[str], speaking: Speaking) -> ChannelFactory:
    chosen = runner_transport(url, listed, speaking.transport)
    source = Runner(speaking.http, url, chosen, starts=bool(listed))
    if not TRANSPORTS[chosen].turn:
        return _by_socket(source, speaking, speaking.wire or ProtobufWire)
    webrtc = optional_deps.load(TRANSPORTS[chosen].client)
    return lambda deliver, quiet: webrtc.WebRTCConnection(source, deliver, speaking.ice)


def runner_transport(url: str, listed: Sequence[str], wanted: str | None = None) -> str:
    """Return the transport to speak with a runner that lists these. Raises NotSpoken."""
    spoken = [name for name, each in TRANSPORTS.items() if each.in_talk]
    # A runner that lists none answers offers only.
    by_offer = [name for name in spoken if TRANSPORTS[name].turn]
    taken = [name for name in (*by_offer, *spoken) if name in (listed or by_offer)]
    if wanted in taken or (taken and not wanted):
        return wanted or taken[0]
    raise NotSpoken(
        f"The runner at {url} takes {', '.join(listed or by_offer)}; `talk` can speak "
        f"{' and '.join(spoken)} with it.",
        f"Omit --transport, or start the bot for it:  python bot.py -t {by_offer[0]}",
    )


def _socket_of(url: str) -> str:
    parts = urlsplit(url)
    scheme = parts.scheme.replace("http", "ws", 1)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", parts.query, ""))
