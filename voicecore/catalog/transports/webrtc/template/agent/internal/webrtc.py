"""The WebRTC transport: an offer arrives at /invocations, and the call uses a TURN relay.

AgentCore ends a response after 60 minutes, and a session after 8 hours. So a call is not part of
the answer to its offer: it is a task of its own, which keeps the session busy until it ends.
"""

from __future__ import annotations

import asyncio
import os
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceCandidate,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import SessionDescription, candidate_from_sdp
from av import AudioFrame
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import RawAudioTrack, SmallWebRTCTransport

from . import logs, session, session_stop
from .conversation import Conversation
from .opus_rtp import CLOCK, PACKET, OpusTrack, carry_speech
from .relay_failure import FailureKind, RelayFailure
from .sound_input import HeardTransport
from .turn import sources
from .turn.source import NoTurnCredentials, TurnSource
from .turn_relay import RouteSource, TurnRoute, turn_routes, use_relays

if TYPE_CHECKING:
    from .app import Agent

# Set by `voicecore deploy`. In AWS only a relay can be reached from outside, and no UDP leaves
# AgentCore's public network.
NETWORK = os.environ.get("NETWORK_MODE", "").upper()
RELAY_ONLY = NETWORK in ("PUBLIC", "VPC")
UDP = NETWORK != "PUBLIC"

# From the answer to the first packet; a caller who takes longer is not coming.
CONNECT_SECONDS = 20
# For closing a connection. If its relay is gone, aioice would retry for a minute.
CLOSE_SECONDS = 1
# A browser's offer of audio, video and messages takes 8 kB.
OFFER_BYTES = 65_536
CANDIDATES = re.compile(r"^a=(candidate:|end-of-candidates).*\r?\n?", re.MULTILINE)


class OfferRefused(Exception):
    """A request is refused, with a code for programs and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer offers and candidates with the conversation, which outlives the connection."""
    sources.warm_up()
    calls = WebRtcCalls(agent, conversation)
    agent.requests["offer"] = calls.offer
    agent.requests["ice-candidates"] = calls.candidates


class RelayedPeerConnection(SmallWebRTCConnection):
    """Pipecat's connection, with relays of several TURN sources."""

    def __init__(self, route_sources: list[RouteSource]) -> None:
        self._route_sources = route_sources
        self._closing: set[asyncio.Task[None]] = set()
        super().__init__(connection_timeout_secs=CONNECT_SECONDS)

    def _initialize(self) -> None:
        super()._initialize()
        # Pipecat has no setting for the policy.
        policy = RTCIceTransportPolicy.RELAY if RELAY_ONLY else RTCIceTransportPolicy.ALL
        bundle = RTCBundlePolicy.MAX_BUNDLE
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], iceTransportPolicy=policy, bundlePolicy=bundle)
        )
        self._setup_listeners()
        self._speech = self._pc.addTransceiver("audio", direction="sendrecv")
        # If the offer has messages before speech, aiortc 1.16 would end the transport of both.
        self._speech._bundled = True  # pyright: ignore - private
        carry_speech(self._speech)

    async def _create_answer(self, sdp: str, type: str) -> None:
        try:
            sections = SessionDescription.parse(sdp).media
            await self._pc.setRemoteDescription(
                RTCSessionDescription(CANDIDATES.sub("", sdp), type)
            )
            # aiortc 1.16 uses those of the last section; a client with the policy "max-bundle" that
            # waits for its candidates writes them into the first.
            for found in {str(c): c for s in sections for c in s.ice_candidates}.values():
                await self.add_ice_candidate(found)
            if any(section.ice_candidates_complete for section in sections):
                await self.add_ice_candidate(None)
            if self._speech.mid is None:
                raise OfferRefused("bad_offer", "The offer has no audio.")
            use_relays(self._pc, self._route_sources)
            for transceiver in self._pc.getTransceivers():
                transceiver.direction = "sendrecv" if transceiver is self._speech else "inactive"
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except (OfferRefused, RelayFailure, OSError):
            raise
        except Exception as error:  # aiortc raises any type, also for what its parser accepts
            raise OfferRefused("bad_offer", f"The offer is not valid: {error!r:.200}") from error
        self._answer = self._pc.localDescription

    async def add_ice_candidate(self, candidate: RTCIceCandidate | None) -> None:
        """Add an address of the client, or None after the last; all sections share a transport."""
        await self._speech.receiver.transport.transport.addRemoteCandidate(candidate)

    def replace_audio_track(self, track: RawAudioTrack) -> None:
        """Send what is added to this track."""
        speech = SpeechTrack(track._sample_rate)  # pyright: ignore - private
        # Pipecat creates its own track, and accepts no other.
        track.add_audio_bytes = speech.add  # pyright: ignore - awaited, it is the same
        super().replace_audio_track(OpusTrack(speech))

    def video_input_track(self) -> None:
        """Return no track: calls have no video."""

    def screen_video_input_track(self) -> None:
        """Return no track: calls have no shared screen."""

    async def _close(self) -> None:
        closing = asyncio.create_task(super()._close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)


class WebRtcTransport(HeardTransport, SmallWebRTCTransport):
    """Pipecat's transport, with steady audio."""


class SpeechTrack(MediaStreamTrack):
    """The agent's speech in real time, and silence in between.

    Pipecat's own track asks for more in the last 10 ms; a stall that is longer is audible.
    """

    kind = "audio"

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._rate, self._samples = rate, rate * PACKET // CLOCK
        self._audio = b""
        self._taken = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._given = 0
        """Samples sent so far, silence included."""

    async def add(self, audio: bytes) -> None:
        """Queue audio; return when more is wanted: while this much is still to be sent."""
        ahead, self._audio = len(audio), self._audio + audio
        while len(self._audio) > ahead:
            self._taken.clear()
            await self._taken.wait()

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms, when they are due."""
        due = self._began + self._given / self._rate
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        size = 2 * self._samples
        audio, self._audio = self._audio[:size].ljust(size, b"\0"), self._audio[size:]
        self._taken.set()
        frame = AudioFrame("s16", "mono", self._samples)
        frame.planes[0].update(audio)
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = self._given
        self._given += self._samples
        return frame


class WebRtcCalls:
    """The connections of this session: one carries the conversation, others are ending."""

    def __init__(self, agent: Agent, conversation: Conversation) -> None:
        self._agent = agent
        self._conversation = conversation
        self._connections: dict[str, RelayedPeerConnection] = {}
        self._connecting: dict[str, asyncio.Task[RelayedPeerConnection]] = {}
        """Connections by offer: an offer that is sent twice makes one."""
        self._held: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None

    async def offer(self, data: Any) -> dict[str, Any]:
        """Answer an offer; its conversation runs over the connection, in the background."""
        try:
            return {"answer": await self._answer(data)}
        except OfferRefused as refused:
            logs.write("offer_refused", level="ERROR", code=refused.code, reason=refused.message)
            return {"error": {"code": refused.code, "message": refused.message}}

    async def candidates(self, data: Any) -> dict[str, Any]:
        """Add addresses of the client that it found after its offer."""
        try:
            await self._add_candidates(data)
        except OfferRefused as refused:
            return {"error": {"code": refused.code, "message": refused.message}}
        return {"status": "success"}

    async def _answer(self, data: Any) -> dict[str, Any] | None:
        sdp = data.get("sdp") if isinstance(data, dict) else None
        if not isinstance(sdp, str) or data.get("type", "offer") != "offer":
            raise OfferRefused("bad_offer", "An offer is an object with sdp, and the type offer.")
        if len(sdp) > OFFER_BYTES:
            raise OfferRefused("bad_offer", f"The offer is longer than {OFFER_BYTES} bytes.")
        known = self._connections.get(str(data.get("pc_id")))
        if known and sdp not in self._connecting and not data.get("restart_pc"):
            await known.renegotiate(sdp, "offer")
            return known.get_answer()
        if data.get("request_data"):
            session.receive(data["request_data"])
        if sdp not in self._connecting:
            self._connecting[sdp] = asyncio.create_task(self._connect(sdp))
        return (await asyncio.shield(self._connecting[sdp])).get_answer()

    async def _connect(self, sdp: str) -> RelayedPeerConnection:
        try:
            connection = await self._connected(sdp)
        except BaseException:
            del self._connecting[sdp]
            raise
        self._connections[connection.pc_id] = connection
        if self._stopping:
            self._stopping.cancel()
        task = asyncio.create_task(self._hold(connection, sdp))
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        return connection

    async def _connected(self, sdp: str) -> RelayedPeerConnection:
        connection = RelayedPeerConnection(relay_sources())
        try:
            await connection.initialize(sdp, "offer")
        except BaseException as error:
            await connection.disconnect()
            if isinstance(error, RelayFailure):
                message = f"The agent gets no TURN relay: {error}."
                raise OfferRefused("no_relay", message) from error
            raise
        return connection

    async def _hold(self, connection: RelayedPeerConnection, sdp: str) -> None:
        # HealthyBusy on /ping: no media passes through AgentCore to keep the session alive.
        busy = self._agent.add_async_task("conversation")
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        try:
            await self._conversation.hold(WebRtcTransport(connection, params), "webrtc")
        finally:
            self._agent.complete_async_task(busy)
            del self._connections[connection.pc_id], self._connecting[sdp]
            await connection.disconnect()  # it may never have carried a conversation
        self._stopping = asyncio.create_task(session_stop.when_idle(self._agent))

    async def _add_candidates(self, data: Any) -> None:
        name = data.get("pc_id") if isinstance(data, dict) else None
        connection = self._connections.get(str(name))
        if connection is None:
            raise OfferRefused("unknown_connection", "No connection has this pc_id.")
        for item in data.get("candidates") or []:
            try:
                # An empty candidate means that there are no more.
                candidate = candidate_from_sdp(item["candidate"]) if item["candidate"] else None
                await connection.add_ice_candidate(candidate)
            except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
                message = f"The candidate is not valid: {error!r:.200}"
                raise OfferRefused("bad_candidate", message) from error


def relay_sources() -> list[RouteSource]:
    """Return the sources of relays; none is needed where the agent can be reached directly."""

    def routes_of(source: TurnSource) -> RouteSource:
        async def ask() -> list[TurnRoute]:
            try:
                servers = await source.servers(os.environ)
                routes = [
                    route
                    for server in servers
                    for route in turn_routes(server.urls, server.username, server.credential, UDP)
                ]
            except (NoTurnCredentials, ValueError) as error:
                raise RelayFailure([str(error)], FailureKind.SOURCE) from error
            if not routes:
                reason = f"{source.name} has no URL that can be used from this network"
                raise RelayFailure([reason], FailureKind.CONFIGURATION)
            return routes

        return ask

    try:
        return [routes_of(source) for source in sources.configured()]
    except NoTurnCredentials as error:
        raise OfferRefused("no_relay", str(error)) from error
