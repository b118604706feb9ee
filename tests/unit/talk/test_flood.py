"""A server that sends without end: what `talk` keeps has a ceiling, and hanging up works."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import pytest

from tests.standins.phone.accounts import account
from tests.standins.talk.hostile_server import HostileServer, audio, message
from tests.standins.talk.phone_server import PhoneServerStandIn
from tests.standins.talk.session_server import rtvi, tone
from voicecore.catalog.phones import PHONES
from voicecore.talk.audio import pcm
from voicecore.talk.audio.call_audio import CallAudio
from voicecore.talk.audio.endpoints import SilentSpeaker
from voicecore.talk.audio.jitter_buffer import SECONDS_MAX, JitterBuffer
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.call import LiveCall
from voicecore.talk.channel import ChannelFactory, Delivery, Note
from voicecore.talk.events import AgentSaid, CallEvent, EndedBy, SessionNotStopped, UserSaid
from voicecore.talk.session_client import ServerUnreachable
from voicecore.talk.telephone.telephone import Telephone
from voicecore.talk.transports.connection import MESSAGE_MAX, ClientSetup, ConnectionLost
from voicecore.talk.transports.rtvi import TEXT_MAX
from voicecore.talk.transports.websocket import channel_for
from voicecore.talk.view.screen import CallView, render
from voicecore.talk.view.transcript import CallTranscript

pytestmark = pytest.mark.slow

EIGHT_SECONDS = audio(tone(500) * 16, pcm.VOICE_RATE)


def said(kind: str, **data: object) -> bytes:
    return message(json.dumps(rtvi(kind, dict(data))))


class Call(LiveCall):
    """A call to the server, whose events are kept."""

    def __init__(self, open_channel: ChannelFactory) -> None:
        self.buffer, self.events = JitterBuffer(), list[CallEvent]()
        sink = SilentSpeaker(self.buffer)
        sound = CallAudio(ScriptedMicrophone(sink), sink, self.buffer)
        super().__init__(open_channel, sound, lambda event, _: self.events.append(event))

    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


@asynccontextmanager
async def calling(server: HostileServer) -> AsyncIterator[tuple[Call, asyncio.Task[EndedBy]]]:
    """Hold a call with the server while the block runs."""

    async def wait(_: LiveCall) -> None:
        await asyncio.Event().wait()

    async with server, aiohttp.ClientSession() as http, asyncio.timeout(60):
        call = Call(channel_for(ClientSetup(http, server.url, "key", 3600)))
        running = asyncio.create_task(call.run(wait))
        yield call, running
        call.interrupt()
        call.interrupt()
        await asyncio.wait({running})


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the stand-in counts, and tells no one
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("start", [b" " * 65_536, b"[" * 65_536])
def test_endless_answer_to_start_is_refused(start: bytes) -> None:
    async def test() -> None:
        server = HostileServer(endless_start=start)
        async with calling(server) as (_, running):
            with pytest.raises(ServerUnreachable, match="longer than 1,000,000 bytes"):
                await running

    asyncio.run(test())


def test_endless_audio_is_dropped_beyond_five_minutes() -> None:
    async def test() -> None:
        server = HostileServer(flood=[EIGHT_SECONDS])
        async with calling(server) as (call, running):
            await until(lambda: server.sent > 2 * SECONDS_MAX // 8)
            assert call.buffer.full
            assert len(call.notes()) == 1
            assert "5 minutes ahead" in call.notes()[0]
            call.hang_up()
            assert await running is EndedBy.USER
            seconds = 0
            while not call.buffer.empty:
                call.buffer.pull(pcm.VOICE_RATE)
                seconds += 1
            assert seconds <= SECONDS_MAX + 8

    asyncio.run(test())


def test_endless_text_is_cut_and_hanging_up_works() -> None:
    flood = [said("bot-output", text="word " * 5000), said("bot-output", text="b", segment_id=1)]
    flood += [said("user-transcription", text="u" * 9000, final=True)]

    async def test() -> None:
        server = HostileServer(messages=[said("user-started-speaking")], flood=flood)
        async with calling(server) as (call, running):
            await until(lambda: server.sent > 1000)
            shown = [utterance.text for utterance in call.transcript.live]
            assert max(map(len, shown)) <= 2 * TEXT_MAX + 2
            call.hang_up()
            assert await running is EndedBy.USER
        texts = [e.text for e in call.events if isinstance(e, (AgentSaid, UserSaid))]
        assert texts and max(map(len, texts)) <= 2 * TEXT_MAX + 2

    asyncio.run(test())


def test_endless_entries_are_forgotten_and_not_drawn() -> None:
    transcript = CallTranscript(lambda _: None)
    for n in range(3000):
        transcript.receive(Note(f"note {n}"), 0.0)
    assert len(transcript.utterances) == 1000
    view = CallView("t", "s", 0, [], [], list(transcript.utterances), [], "")
    lines = ["".join(span.text for span in line) for line in render(view, 80, 24)]
    assert len(lines) == 23
    assert "note 2999" in lines[-3]


def test_message_beyond_the_limit_ends_the_connection() -> None:
    async def test() -> None:
        server = HostileServer(messages=[b"\0" * (MESSAGE_MAX + 1)])
        async with calling(server) as (_, running):
            with pytest.raises(ConnectionLost, match="exceeds limit"):
                await running

    asyncio.run(test())


def test_second_ctrl_c_does_not_wait_for_the_server() -> None:
    async def test() -> None:
        async with calling(HostileServer(stops=False)) as (call, running):
            await call.connected()
            call.interrupt()
            call.interrupt()
            assert await running is EndedBy.USER
            [left] = [event for event in call.events if isinstance(event, SessionNotStopped)]
            assert left.reason == "interrupted before the server answered"

    asyncio.run(test())


def test_resampling_a_whole_message_gives_what_its_parts_give() -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, 100_001, np.int16).tobytes()
    whole, parts = (pcm.Resampler(8000, pcm.VOICE_RATE) for _ in range(2))
    pieces = [parts.feed(noise[n : n + 640]) for n in range(0, len(noise), 640)]
    assert whole.feed(noise) == b"".join(pieces)


def test_refusals_of_a_flooding_phone_server_are_told_twenty_times() -> None:
    flood = [json.dumps({"event": "media", "streamId": f"{n}" + "x" * 1000}) for n in range(100)]

    async def test() -> None:
        notes: list[str] = []

        def deliver(item: Delivery) -> None:
            if isinstance(item, Note):
                notes.append(item.text)

        async with PhoneServerStandIn(flood=flood) as server, aiohttp.ClientSession() as http:
            signaling = PHONES["plivo"].signaling()
            call = signaling.new_call(account("plivo"), "+12025550123", "+12025550100")
            async with asyncio.timeout(30):
                await Telephone(http, server.url, call, account("plivo"), deliver).run()
        assert len(notes) == 20
        assert max(map(len, notes)) < 400

    asyncio.run(test())
