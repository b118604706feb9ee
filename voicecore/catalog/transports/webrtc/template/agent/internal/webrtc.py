"""The WebRTC transport: an offer comes to /invocations, and the call goes over a TURN relay.

AgentCore ends a response after 60 minutes, and a session after 8 hours. So a call is not part of
the answer to its offer: it is a task of its own, which keeps the session busy until it ends.
"""

from __future__ import annotations

import asyncio
import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import RawAudioTrack, SmallWebRTCTransport

from . import logs, session_stop, turn_sources
from .conversation import Conversation
from .opus_rtp import CLOCK, PACKET, OpusTrack, carry_speech
from .relay_failure import NoRelay, Reason
from .turn_relay import Source, Turn, use_relays, ways

if TYPE_CHECKING:
    from .app import Agent

# `voicecore deploy` says where the agent is: in AWS only a relay can be reached from outside, and
# out of its public network no UDP gets through.
NETWORK = os.environ.get("NETWORK_MODE", "").upper()
RELAY_ONLY = NETWORK in ("PUBLIC", "VPC")
UDP = NETWORK != "PUBLIC"

# From the answer to the first packet; who takes longer is not coming.
CONNECT_SECONDS = 20
# For a connection to say goodbye. Its relay may be gone, and aioice would ask it for a minute.
GOODBYE_SECONDS = 1
# A browser's offer of audio, video and messages takes 8 kB.
OFFER_BYTES = 65_536


class Refused(Exception):
    """No connection; with a code for programs and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def register(agent: Agent, conversation: Conversation) -> None:
    """Answer offers and candidates with the conversation, which outlives the connection."""
    turn_sources.warm_up()
    calls = Calls(agent, conversation)
    agent.requests["offer"] = calls.offer
    agent.requests["ice-candidates"] = calls.candidates


class Connection(SmallWebRTCConnection):
    """Pipecat's connection, by relays of several sources."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
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
        carry_speech(self._speech)

    async def _create_answer(self, sdp: str, type: str) -> None:
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, type))
        except Exception as error:  # aiortc's parser raises whatever it stumbles over
            raise Refused("bad_offer", f"It cannot be answered: {error!r:.200}") from error
        if self._speech.mid is None:
            raise Refused("bad_offer", "The offer is of no sound.")
        use_relays(self._pc, self._sources)
        for transceiver in self._pc.getTransceivers():
            transceiver.direction = "sendrecv" if transceiver is self._speech else "inactive"
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        self._answer = self._pc.localDescription

    def replace_audio_track(self, track: RawAudioTrack) -> None:
        """Send what is added to this track."""
        voice = Voice(track._sample_rate)  # pyright: ignore - private
        # Pipecat makes its own track, and cannot be given another.
        track.add_audio_bytes = voice.add  # pyright: ignore - awaited, it is the same
        super().replace_audio_track(OpusTrack(voice))

    def video_input_track(self) -> None:
        """There is no picture in these calls."""

    def screen_video_input_track(self) -> None:
        """Nor the one of a screen."""

    async def _close(self) -> None:
        closing = asyncio.create_task(super()._close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.wait({closing}, timeout=GOODBYE_SECONDS)


class Voice(MediaStreamTrack):
    """What the agent says, as it is spoken; silence where it says nothing.

    Pipecat's own asks for more at the last of its 10 ms: whatever stalls for longer is heard.
    """

    kind = "audio"

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._rate, self._samples = rate, rate * PACKET // CLOCK
        self._sound = b""
        self._taken = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._given = 0
        """Samples, silent ones as well."""

    async def add(self, sound: bytes) -> None:
        """Say this, too; returns when more is wanted: while there is still as much."""
        ahead, self._sound = len(sound), self._sound + sound
        while len(self._sound) > ahead:
            self._taken.clear()
            await self._taken.wait()

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when they are due."""
        due = self._began + self._given / self._rate
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        size = 2 * self._samples
        sound, self._sound = self._sound[:size].ljust(size, b"\0"), self._sound[size:]
        self._taken.set()
        block = AudioFrame("s16", "mono", self._samples)
        block.planes[0].update(sound)
        block.sample_rate, block.time_base = self._rate, Fraction(1, self._rate)
        block.pts = self._given
        self._given += self._samples
        return block


class Calls:
    """The connections of this session: one that is talked over, and others that end."""

    def __init__(self, agent: Agent, conversation: Conversation) -> None:
        self._agent = agent
        self._conversation = conversation
        self._connections: dict[str, Connection] = {}
        self._made: dict[str, asyncio.Task[Connection]] = {}
        """The making of each connection, by the offer: one that is sent twice is made once."""
        self._held: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None

    async def offer(self, data: Any) -> dict[str, Any]:
        """Answer an offer; the conversation goes on over its connection, in the background."""
        try:
            return {"answer": await self._answer(data)}
        except Refused as refused:
            logs.write("offer_refused", level="ERROR", code=refused.code, reason=refused.message)
            return {"error": {"code": refused.code, "message": refused.message}}

    async def candidates(self, data: Any) -> dict[str, Any]:
        """Take addresses at which the client may be reached, which came after its offer."""
        try:
            await self._add(data)
        except Refused as refused:
            return {"error": {"code": refused.code, "message": refused.message}}
        return {"status": "success"}

    async def _answer(self, data: Any) -> dict[str, Any] | None:
        sdp = data.get("sdp") if isinstance(data, dict) else None
        if not isinstance(sdp, str) or data.get("type", "offer") != "offer":
            raise Refused("bad_offer", "An offer is an object with sdp, and the type offer.")
        if len(sdp) > OFFER_BYTES:
            raise Refused("bad_offer", f"The offer is longer than {OFFER_BYTES} bytes.")
        known = self._connections.get(str(data.get("pc_id")))
        if known and sdp not in self._made and not data.get("restart_pc"):
            await known.renegotiate(sdp, "offer")
            return known.get_answer()
        if sdp not in self._made:
            self._made[sdp] = asyncio.create_task(self._connect(sdp))
        return (await asyncio.shield(self._made[sdp])).get_answer()

    async def _connect(self, sdp: str) -> Connection:
        try:
            connection = await self._connected(sdp)
        except BaseException:
            del self._made[sdp]
            raise
        self._connections[connection.pc_id] = connection
        if self._ending:
            self._ending.cancel()
        task = asyncio.create_task(self._hold(connection, sdp))
        self._held.add(task)
        task.add_done_callback(self._held.discard)
        return connection

    async def _connected(self, sdp: str) -> Connection:
        connection = Connection(sources())
        try:
            await connection.initialize(sdp, "offer")
        except BaseException as error:
            await connection.disconnect()
            if isinstance(error, NoRelay):
                raise Refused("no_relay", f"The agent reaches no TURN relay: {error}.") from error
            raise
        return connection

    async def _hold(self, connection: Connection, sdp: str) -> None:
        # HealthyBusy on /ping: no media passes AgentCore's front door to keep the session alive.
        busy = self._agent.add_async_task("conversation")
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        try:
            await self._conversation.hold(SmallWebRTCTransport(connection, params), "webrtc")
        finally:
            self._agent.complete_async_task(busy)
            del self._connections[connection.pc_id], self._made[sdp]
            await connection.disconnect()  # it may never have been talked over
        self._ending = asyncio.create_task(session_stop.when_alone(self._agent))

    async def _add(self, data: Any) -> None:
        name = data.get("pc_id") if isinstance(data, dict) else None
        connection = self._connections.get(str(name))
        if connection is None:
            raise Refused("unknown_connection", "There is no connection of this pc_id.")
        for item in data.get("candidates") or []:
            try:
                # An empty line says that there are no more.
                candidate = candidate_from_sdp(item["candidate"]) if item["candidate"] else None
                if candidate:
                    candidate.sdpMid = item["sdp_mid"]
                    candidate.sdpMLineIndex = item["sdp_mline_index"]
                await connection.add_ice_candidate(candidate)
            except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
                raise Refused("bad_candidate", f"This is no candidate: {error!r:.200}") from error


def sources() -> list[Source]:
    """Where this agent's relays come from; none needs to, where it can be reached directly."""

    def relays_of(source: turn_sources.Source) -> Source:
        async def ask() -> list[Turn]:
            try:
                servers = await source.servers(os.environ)
                turns = [t for s in servers for t in ways(s.urls, s.username, s.credential, UDP)]
            except (turn_sources.NoTurn, ValueError) as error:
                raise NoRelay([str(error)], Reason.SOURCE) from error
            if not turns:
                why = f"{source.name} has no URL that can be used from here"
                raise NoRelay([why], Reason.CONFIGURATION)
            return turns

        return ask

    try:
        return [relays_of(source) for source in turn_sources.configured()]
    except turn_sources.NoTurn as error:
        raise Refused("no_relay", str(error)) from error
