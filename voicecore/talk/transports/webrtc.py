"""The connection over WebRTC: sound as RTP, messages on a data channel, a new path for a lost one.

As Pipecat's own clients do it: an offer to the session server, a channel that pings once a second,
and a new peer connection rather than a restart of ICE, which aiortc cannot do.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from aiortc import (
    InvalidStateError,
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from av import AudioFrame

from voicecore.talk.audio import pcm, vad
from voicecore.talk.audio.replay_buffer import Block, Ring
from voicecore.talk.first_done import first
from voicecore.talk.ice.opus_rtp import OpusTrack, carry_speech
from voicecore.talk.ice.relay_failure import RelayFailure
from voicecore.talk.ice.turn_relay import RouteSource, TurnRoute, turn_routes, use_relays
from voicecore.talk.session_client import (
    IceServer,
    OfferRefused,
    ServerDown,
    Session,
    SessionServer,
)
from voicecore.talk.transports import connection, pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    READY_SECONDS,
    AgentMute,
    Connected,
    ConnectionLost,
    Deliver,
    Ending,
    Path,
)

_CONNECT_SECONDS = 10.0
"""From the answer to an open channel; the other side may need a second or two to find a relay."""
LOST_SECONDS = 3.0
"""An agent sends 50 packets a second, also when it is silent: without any for so long, the path is
gone. Stalls of an agent that loads something are shorter."""
_FIRST_SECONDS = 10.0
"""The same before the first of them: an agent may reach out to its services before it sends."""
_PING_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
"""A relay that is gone would be asked for a minute to let go."""
_REPLAY_PAUSE = pcm.BLOCK_MS / 2000
"""Seconds between two blocks that are late: twice real time, as over WebSocket."""
_HOLE_SECONDS = 3 * pcm.BLOCK_MS / 1000
"""Without anything to send for so long, silence is sent: the path stays open, and watched."""

_SIGNS = (rtvi.BotThinking, rtvi.BotStarted, rtvi.BotSays)
"""What an agent does that has got a message."""


@dataclass(frozen=True)
class Way:
    """How this end is to be reached."""

    relay_only: bool = False
    servers: tuple[IceServer, ...] = ()
    """TURN servers to use instead of those that the session server names."""


class Connection(connection.Connection):
    """One conversation over as many peer connections as it takes."""

    def __init__(self, server: SessionServer, deliver: Deliver, way: Way | None = None) -> None:
        super().__init__(server, deliver)
        self._way = way or Way()
        self._ring = Ring()
        self._spoken, self._typed = asyncio.Event(), asyncio.Event()
        self._unnoticed: deque[dict[str, Any]] = deque()
        """Messages that were sent, and of which the agent has shown no sign."""
        self._peer_id = ""
        """The agent's name for the connection that is to be replaced."""

    def say(self, block: Block) -> None:
        """Send BLOCK_MS of what the user says; it is kept until the agent has understood it."""
        self._ring.add(block)
        self._spoken.set()

    def type(self, text: str) -> None:
        """Send what the user typed."""
        self._outbox.append(rtvi.send_text(text))
        self._typed.set()

    def turn_finished(self) -> None:
        """The agent has understood what was said: it need not be said again."""
        self._ring.turn_finished()

    async def _hold(self, session: Session, resumed: bool) -> Ending:
        """One connection, from offer to end."""
        policy = RTCIceTransportPolicy.ALL
        if self._way.relay_only:
            policy = RTCIceTransportPolicy.RELAY
        bundle = RTCBundlePolicy.MAX_BUNDLE
        peer = RTCPeerConnection(
            RTCConfiguration(iceServers=[], iceTransportPolicy=policy, bundlePolicy=bundle)
        )
        try:
            return await self._talk(peer, session, resumed)
        except (OfferRefused, ServerDown) as error:
            if resumed:
                return Ending(error.message)
            raise
        except RelayFailure as error:
            raise ConnectionLost(
                f"There is no relay for this end of the call: {error}.",
                "Try another network, or a TURN server of your own:  --turn URL",
            ) from error
        finally:
            closing = asyncio.ensure_future(peer.close())
            await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)

    async def _talk(self, peer: RTCPeerConnection, session: Session, resumed: bool) -> Ending:
        self._ring.rewind()
        self._outbox.extendleft(reversed(self._unnoticed))
        self._unnoticed.clear()
        messages: asyncio.Queue[str] = asyncio.Queue()
        opened, ready, heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        # The sound first: aiortc closes the transport of a channel that later sound shares.
        microphone = OpusTrack(_Microphone(lambda: self._next_block(ready)))
        carry_speech(peer.addTransceiver(microphone))
        channel = peer.createDataChannel("chat")
        channel.on("open", opened.set)
        channel.on("message", messages.put_nowait)
        peer.on("track", tracks.put_nowait)
        use_relays(peer, _sources(self._way.servers or session.ice_servers))
        await peer.setLocalDescription(await peer.createOffer())
        offer = {
            "sdp": peer.localDescription.sdp,
            "type": "offer",
            "pc_id": self._peer_id or None,
            "restart_pc": resumed,
        }
        answer = await self._server.offer(session, offer)
        began = time.monotonic()
        self._peer_id = str(answer.get("pc_id", ""))
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await opened.wait()
        except TimeoutError:
            return Ending(_why_not(peer))
        self._deliver(_path(peer, time.monotonic() - began))
        channel.send(json.dumps(rtvi.client_ready()))
        return await first(
            self._receive(messages, ready, resumed),
            self._listen(await tracks.get(), heard),
            self._notice(heard),
            self._send(channel, ready),
            _ping(channel),
        )

    async def _receive(
        self, messages: asyncio.Queue[str], ready: asyncio.Event, resumed: bool
    ) -> Ending:
        while True:
            body: Any = json.loads(await messages.get())
            if body.get("type") == "signalling":
                if body.get("message", {}).get("type") == "peerLeft":
                    return Ending("the agent left", by_agent=True)
                continue
            event = rtvi.parse(body)
            if isinstance(event, rtvi.BotReady):
                ready.set()
                self._was_ready = True
                self._deliver(Connected(resumed))
            elif event is not None:
                if isinstance(event, _SIGNS):
                    self._unnoticed.clear()
                self._deliver(event)

    async def _listen(self, track: MediaStreamTrack, heard: asyncio.Event) -> Ending:
        pauses = vad.Pauses()
        while True:
            try:
                frame = cast("object", await track.recv())  # pyright: ignore - untyped
            except MediaStreamError:
                # Of a path that is lost, nobody says so.
                return Ending("the agent closed the connection", by_agent=True)
            assert isinstance(frame, AudioFrame)  # noqa: S101 - of a track of sound
            heard.set()
            channels = len(frame.layout.channels)
            sound = bytes(frame.planes[0])[: 2 * channels * frame.samples]
            if pauses.let_through(sound, frame.sample_rate * channels):
                self._deliver(pipecat_frames.Audio(sound, frame.sample_rate, channels))

    async def _notice(self, heard: asyncio.Event) -> Ending:
        """Ends when nothing has come for LOST_SECONDS; or at first, for longer."""
        patience = _FIRST_SECONDS
        while True:
            try:
                async with asyncio.timeout(patience):
                    await heard.wait()
            except TimeoutError:
                return Ending(f"nothing came from the agent for {patience:.0f} s")
            patience = LOST_SECONDS
            await asyncio.sleep(0.1)
            heard.clear()

    async def _send(self, channel: RTCDataChannel, ready: asyncio.Event) -> Ending:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await ready.wait()
        except TimeoutError:
            raise AgentMute from None
        while True:
            while self._outbox:
                self._unnoticed.append(self._outbox.popleft())
                channel.send(json.dumps(self._unnoticed[-1]))
            self._typed.clear()
            await self._typed.wait()

    async def _next_block(self, ready: asyncio.Event) -> bytes:
        """What was said and not yet sent, when there is something; or silence."""
        if ready.is_set() and self._ring.waiting:
            if self._ring.waiting > 1:
                await asyncio.sleep(_REPLAY_PAUSE)
            return self._ring.take(1)
        self._spoken.clear()
        try:
            async with asyncio.timeout(_HOLE_SECONDS):
                await self._spoken.wait()
        except TimeoutError:
            return pcm.SILENT_BLOCK
        return self._ring.take(1) if ready.is_set() else pcm.SILENT_BLOCK


class _Microphone(MediaStreamTrack):
    """What the user says, as aiortc asks for it."""

    kind = "audio"

    def __init__(self, next_block: Callable[[], Awaitable[bytes]]) -> None:
        super().__init__()
        self._next_block = next_block
        self._samples = 0

    async def recv(self) -> AudioFrame:
        """The next block."""
        block = await self._next_block()
        frame = AudioFrame("s16", "mono", pcm.SPEECH_BLOCK)
        frame.planes[0].update(block)
        frame.sample_rate, frame.pts = pcm.SPEECH_RATE, self._samples
        frame.time_base = Fraction(1, pcm.SPEECH_RATE)
        self._samples += pcm.SPEECH_BLOCK
        return frame


def _sources(servers: Sequence[IceServer]) -> list[RouteSource]:
    async def given() -> list[TurnRoute]:
        return [
            route
            for server in servers
            for route in turn_routes(server.urls, server.username, server.credential, udp=True)
        ]

    return [given] if servers else []


async def _ping(channel: RTCDataChannel) -> Ending:
    """Pipecat holds a client that pinged once and then stops for gone."""
    while True:
        with suppress(InvalidStateError):
            channel.send(f"ping: {time.time():.0f}")
        await asyncio.sleep(_PING_SECONDS)


def _path(peer: RTCPeerConnection, seconds: float) -> Path:
    ice = _ice(peer)
    chosen = ice._nominated[1]
    tried = tuple((*_ends(pair), pair.state.name.lower()) for pair in ice._check_list)
    return Path(*_ends(chosen), round(1000 * seconds, 1), tried)


def _why_not(peer: RTCPeerConnection) -> str:
    ice = _ice(peer)
    pairs = [f"{local} to {remote}" for local, remote in map(_ends, ice._check_list)]
    tried = f"tried {', '.join(pairs)}" if pairs else "there was none to try"
    trouble = f"; no relay here: {ice.failure}" if ice.sources and ice.failure else ""
    return f"no way led to the agent within {_CONNECT_SECONDS:.0f} s: {tried}{trouble}"


def _ice(peer: RTCPeerConnection) -> Any:
    return peer.sctp.transport.transport._connection  # pyright: ignore - private, untyped


def _ends(pair: Any) -> tuple[str, str]:
    ends = (pair.local_candidate, pair.remote_candidate)
    local, remote = (f"{end.type} {end.host}:{end.port}" for end in ends)
    return local, remote
