"""Owns the client over WebRTC: audio as RTP, messages on a data channel, a new path for a lost one.

It does as Pipecat's own clients do: an offer to the session server, a data channel that pings once
a second, and a new peer connection instead of an ICE restart, which aiortc cannot do.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
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

from voicecore.catalog.transports.webrtc import TRANSPORT
from voicecore.console.errors import VoicecoreError
from voicecore.talk.agents.source import OfferSource
from voicecore.talk.audio import pcm, vad
from voicecore.talk.audio.replay_buffer import ReplayBuffer, SpeechBlock
from voicecore.talk.channel import ChannelFactory, Deliver, IcePath
from voicecore.talk.first_done import first_done
from voicecore.talk.ice.opus_rtp import OpusTrack, carry_speech
from voicecore.talk.ice.relay_failure import RelayFailure
from voicecore.talk.ice.turn_relay import RouteSource, TurnRoute, turn_routes, use_relays
from voicecore.talk.session_client import (
    IceServer,
    OfferRefused,
    ServerUnreachable,
    SessionClient,
    StartedSession,
)
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    ClientSetup,
    ConnectionEnd,
    ConnectionLost,
    IceOptions,
    SessionConnection,
)

_CONNECT_SECONDS = 10.0
"""From the answer to an open data channel; the agent may need a second or two to find a relay."""
LOST_SECONDS = 3.0
"""An agent sends 50 packets a second, even while it is silent: without any for this long, the path
is lost. An agent that stalls while it loads something is back sooner."""
_FIRST_SECONDS = 10.0
"""The same before the first packet: an agent may connect to its services before it sends."""
_PING_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
"""Closing would ask a relay that is gone for a minute to release its allocation."""
_REPLAY_PAUSE = pcm.BLOCK_MS / 2000
"""Seconds between two late blocks: twice real time, as over WebSocket."""
_HOLE_SECONDS = 3 * pcm.BLOCK_MS / 1000
"""With nothing to send for this long, silence is sent: the path stays open, and is watched."""


class BadSdp(VoicecoreError):
    """The agent's answer to an offer is not an SDP that this client can follow."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"The agent's answer to the WebRTC offer is malformed: {type(error).__name__}: {error}",
            "Does --url name the server of a voicecore project?",
        )


GRANTS = ("iceConfig",)
"""Fields of a session server's answer that allow a connection."""


def channel_for(setup: ClientSetup) -> ChannelFactory:
    """Return a factory of channels to the agent over WebRTC."""
    server = SessionClient(setup.http, setup.url, setup.key, TRANSPORT.name, GRANTS)
    return lambda deliver, quiet: WebRTCConnection(server, deliver, setup.ice)


class WebRTCConnection(SessionConnection):
    """Carries one call over as many peer connections as it takes."""

    def __init__(
        self, server: OfferSource, deliver: Deliver, options: IceOptions | None = None
    ) -> None:
        super().__init__(server, deliver)
        self._offers = server
        self._options = options or IceOptions()
        self._replay = ReplayBuffer()
        self._spoken, self._typed = asyncio.Event(), asyncio.Event()
        self._peer_id = ""
        """The agent's ID of the connection that the next one replaces."""

    def say(self, block: SpeechBlock) -> None:
        """Send BLOCK_MS of the user's voice; keep it until the agent has understood it."""
        self._replay.add(block)
        self._spoken.set()

    def type(self, text: str) -> None:
        """Send a line that the user typed."""
        self._outbox.post(rtvi.send_text(text))
        self._typed.set()

    def turn_finished(self) -> None:
        """Drop what the agent has understood from the replay."""
        self._replay.turn_finished()

    async def _hold(self, session: StartedSession, resumed: bool) -> ConnectionEnd:
        """Hold one connection, from offer to end."""
        policy = RTCIceTransportPolicy.ALL
        if self._options.relay_only:
            policy = RTCIceTransportPolicy.RELAY
        bundle = RTCBundlePolicy.MAX_BUNDLE
        peer = RTCPeerConnection(
            RTCConfiguration(iceServers=[], iceTransportPolicy=policy, bundlePolicy=bundle)
        )
        try:
            return await self._talk(peer, session, resumed)
        except (OfferRefused, ServerUnreachable) as error:
            if resumed:
                return ConnectionEnd(error.message)
            raise
        except RelayFailure as error:
            raise ConnectionLost(
                f"This end of the call has no TURN relay: {error}.",
                "Try another network, or a TURN server of your own:  --turn URL",
            ) from error
        finally:
            closing = asyncio.ensure_future(peer.close())
            await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)

    async def _talk(
        self, peer: RTCPeerConnection, session: StartedSession, resumed: bool
    ) -> ConnectionEnd:
        self._replay.rewind()
        self._outbox.rewind()
        messages: asyncio.Queue[str] = asyncio.Queue()
        opened, ready, heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        # Audio first: aiortc closes the transport of a data channel that audio joins later.
        microphone = OpusTrack(_MicrophoneTrack(lambda: self._next_block(ready)))
        carry_speech(peer.addTransceiver(microphone))
        channel = peer.createDataChannel("chat")
        channel.on("open", opened.set)
        channel.on("message", messages.put_nowait)
        peer.on("track", tracks.put_nowait)
        use_relays(peer, _sources(self._options.servers or session.ice_servers))
        answered = await self._negotiate(peer, session, resumed)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await opened.wait()
        except TimeoutError:
            return ConnectionEnd(_failure(peer))
        self._deliver(_path(peer, time.monotonic() - answered))
        channel.send(json.dumps(rtvi.client_ready()))
        return await first_done(
            self._receive(messages, ready, resumed),
            self._listen(await tracks.get(), heard),
            self._watch(heard),
            self._send(channel, ready, resumed),
            _ping(channel),
        )

    async def _negotiate(
        self, peer: RTCPeerConnection, session: StartedSession, resumed: bool
    ) -> float:
        """Exchange offer and answer; return when the answer came (time.monotonic)."""
        await peer.setLocalDescription(await peer.createOffer())
        offer = {
            "sdp": peer.localDescription.sdp,
            "type": "offer",
            "pc_id": self._peer_id or None,
            "restart_pc": resumed,
        }
        answer = await self._offers.offer(session, offer)
        answered = time.monotonic()
        self._peer_id = str(answer.get("pc_id", ""))
        try:
            await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        except Exception as error:  # aiortc raises what its parser trips over
            raise BadSdp(error) from error
        return answered

    async def _receive(
        self, messages: asyncio.Queue[str], ready: asyncio.Event, resumed: bool
    ) -> ConnectionEnd:
        while True:
            await asyncio.sleep(0)  # a flood must not keep Ctrl-C and the audio waiting
            try:
                body = pipecat_frames.message_in(await messages.get())
            except pipecat_frames.BadFrame as bad:
                self._ignore(bad)
                continue
            if body.get("type") == "signalling":
                message = body.get("message")
                if isinstance(message, dict) and "peerLeft" in message.values():
                    return ConnectionEnd("the agent left", by_agent=True)
                continue
            event = rtvi.parse(body)
            if isinstance(event, rtvi.BotReady):
                self._become_ready(ready, resumed)
            elif event is not None:
                self._receive_event(event)

    async def _listen(self, track: MediaStreamTrack, heard: asyncio.Event) -> ConnectionEnd:
        silence = vad.SilenceGate()
        while True:
            try:
                frame = cast("object", await track.recv())  # pyright: ignore - untyped
            except MediaStreamError:
                # A lost path does not end the track: this is the agent.
                return ConnectionEnd("the agent closed the connection", by_agent=True)
            assert isinstance(frame, AudioFrame)  # noqa: S101 - of an audio track
            heard.set()
            channels = len(frame.layout.channels)
            audio = bytes(frame.planes[0])[: 2 * channels * frame.samples]
            if silence.passes(audio, frame.sample_rate * channels):
                self._deliver(pipecat_frames.Audio(audio, frame.sample_rate, channels))

    async def _watch(self, heard: asyncio.Event) -> ConnectionEnd:
        """End when no packet has come for LOST_SECONDS; wait longer for the first one."""
        patience = _FIRST_SECONDS
        while True:
            try:
                async with asyncio.timeout(patience):
                    await heard.wait()
            except TimeoutError:
                return ConnectionEnd(f"nothing came from the agent for {patience:.0f} s")
            patience = LOST_SECONDS
            await asyncio.sleep(0.1)
            heard.clear()

    async def _send(
        self, channel: RTCDataChannel, ready: asyncio.Event, resumed: bool
    ) -> ConnectionEnd:
        await self._until_ready(ready, resumed)
        while True:
            while self._outbox:
                channel.send(json.dumps(self._outbox.take()))
            self._typed.clear()
            await self._typed.wait()

    async def _next_block(self, ready: asyncio.Event) -> bytes:
        """Return the next unsent block of speech as soon as there is one, or silence."""
        if ready.is_set() and self._replay.waiting:
            if self._replay.waiting > 1:
                await asyncio.sleep(_REPLAY_PAUSE)
            return self._replay.take(1)
        self._spoken.clear()
        try:
            async with asyncio.timeout(_HOLE_SECONDS):
                await self._spoken.wait()
        except TimeoutError:
            return pcm.SILENT_BLOCK
        return self._replay.take(1) if ready.is_set() else pcm.SILENT_BLOCK


class _MicrophoneTrack(MediaStreamTrack):
    """The user's voice, as aiortc asks for it."""

    kind = "audio"

    def __init__(self, next_block: Callable[[], Awaitable[bytes]]) -> None:
        super().__init__()
        self._next_block = next_block
        self._samples = 0

    async def recv(self) -> AudioFrame:
        """Return the next block."""
        block = await self._next_block()
        frame = AudioFrame("s16", "mono", pcm.SPEECH_BLOCK)
        frame.planes[0].update(block)
        frame.sample_rate, frame.pts = pcm.SPEECH_RATE, self._samples
        frame.time_base = Fraction(1, pcm.SPEECH_RATE)
        self._samples += pcm.SPEECH_BLOCK
        return frame


def _sources(servers: Sequence[IceServer]) -> list[RouteSource]:
    async def given() -> list[TurnRoute]:
        try:
            return [
                route
                for server in servers
                for route in turn_routes(server.urls, server.username, server.credential, udp=True)
            ]
        except ValueError as error:
            raise RelayFailure([f"the session server named a malformed URL: {error}"]) from error

    return [given] if servers else []


async def _ping(channel: RTCDataChannel) -> ConnectionEnd:
    """Ping while the call lasts: Pipecat drops a client that pinged once and then stops."""
    while True:
        with suppress(InvalidStateError):
            channel.send(f"ping: {time.time():.0f}")
        await asyncio.sleep(_PING_SECONDS)


def _path(peer: RTCPeerConnection, seconds: float) -> IcePath:
    ice = _ice(peer)
    chosen = ice._nominated[1]
    tried = tuple((*_ends(pair), pair.state.name.lower()) for pair in ice._check_list)
    return IcePath(*_ends(chosen), round(1000 * seconds, 1), tried)


def _failure(peer: RTCPeerConnection) -> str:
    ice = _ice(peer)
    pairs = [f"{local} to {remote}" for local, remote in map(_ends, ice._check_list)]
    tried = f"tried {', '.join(pairs)}" if pairs else "there was no candidate pair to try"
    trouble = f"; no relay here: {ice.trouble}" if ice.sources and ice.trouble else ""
    return f"no path to the agent was found within {_CONNECT_SECONDS:.0f} s: {tried}{trouble}"


def _ice(peer: RTCPeerConnection) -> Any:
    return peer.sctp.transport.transport._connection  # pyright: ignore - private, untyped


def _ends(pair: Any) -> tuple[str, str]:
    ends = (pair.local_candidate, pair.remote_candidate)
    local, remote = (f"{end.type} {end.host}:{end.port}" for end in ends)
    return local, remote
