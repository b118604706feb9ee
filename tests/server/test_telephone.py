"""A generated server between telephone providers and the local runtime, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.serving import AUTHORIZED, MANY, Server, make_server, serving
from tests.standins.phone import Handset, Mistake, Proof, Provider
from tests.standins.runtime.runtime_lab import ARN, Lab, lab
from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports.record import HEADERS
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import make_credentials
from voicecore.local.processes.ports import free_port
from voicecore.talk.audio.sound_files import read_clip

SAMPLES = Path(__file__).parents[2] / "voicecore" / "samples"
AGENT = Path(__file__).parents[1] / "standins/server/phone_agent.py"
every_provider = pytest.mark.parametrize("name", PHONES)


@dataclass(frozen=True)
class Office:
    """A server that knows all five providers, and the runtime that it calls agents of."""

    folder: Path
    port: int
    root: Path


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    root = tmp_path_factory.mktemp("office")
    return Office(make_server(root, ("telephony",), tuple(PHONES)), free_port(), root)


@dataclass
class Exchange:
    """One test's: its provider, its server and its runtime."""

    provider: Provider
    server: Server
    lab: Lab
    root: Path

    def heard(self) -> list[tuple[int, Any]]:
        """What came to the agent: number of the connection, and frame (bytes by their number)."""
        path = self.root / "heard.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(number, frame) for number, frame in map(json.loads, lines)]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.server.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The server's events of this name, when there are so many."""
        await self.lab.until(lambda: len(self.events(event)) >= count, 30)
        return self.events(event)

    async def ask(self, method: str, path: str, **body: str) -> tuple[int, Any]:
        """What the server's own API answers."""
        async with (
            aiohttp.ClientSession(self.server.url, headers=AUTHORIZED) as http,
            http.request(method, f"/phone{path}", json=body or None) as answer,
        ):
            return answer.status, await answer.json() if answer.status != 204 else None


@asynccontextmanager
async def exchange(
    office: Office, tmp_path: Path, name: str, time_scale: float = 1.0, **settings: str
) -> AsyncIterator[Exchange]:
    """All three, running."""
    async with AsyncExitStack() as stack:
        providers = {p: await stack.enter_async_context(Provider(p)) for p in PHONES}
        variables = {k: v for p in providers.values() for k, v in p.variables.items()}
        pair = make_credentials()
        runtime = await stack.enter_async_context(
            lab(
                tmp_path,
                app=AGENT,
                port=office.port,
                credentials=pair,
                time_scale=time_scale,
                allowlist=check_allowlist(HEADERS),
            )
        )
        keys = {
            "AWS_ACCESS_KEY_ID": pair.access_key_id,
            "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
            "AGENT_RUNTIME_ARN": ARN,
        }
        log = tmp_path / "server.log"
        own = variables | keys | MANY | settings
        server = await asyncio.to_thread(
            stack.enter_context, serving(office.folder, log, runtime.runtime.url, **own)
        )
        yield Exchange(providers[name], server, runtime, tmp_path)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@every_provider
def test_a_call_from_its_first_ring_to_its_end(office: Office, tmp_path: Path, name: str) -> None:
    async def call() -> None:
        async with exchange(office, tmp_path, name) as all:
            await conversation(all)
            await ended_by_the_agent(all)
            await placed_by_us(all)

    run(call())


async def conversation(all: Exchange) -> None:
    answer = await all.provider.ring(all.server.url)
    async with all.provider.dial(answer) as handset:
        await handset.hears(0.4)
        [session] = all.lab.sessions()
        assert session.removeprefix(f"{all.provider.name}-") in (answer.call.it.id, session[-36:])
        handset.press("1")
        await handset.is_cleared()
        assert handset.complaints == []
    await all.lab.until(lambda: not all.lab.sessions())  # it was stopped, not left to idle
    frames = [frame for _, frame in all.heard()]
    opening = [frame["event"] for frame in frames[:2] if isinstance(frame, dict)]
    assert "start" in opening or opening[0] == "websocket:connected"
    media = [frame["media"] for frame in frames if isinstance(frame, dict) and "media" in frame]
    numbers = [int(sound["chunk"]) for sound in media if "chunk" in sound]
    assert numbers == sorted(numbers)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):  # its ticket was used
        async with all.provider.dial(answer):
            pass
    [over] = await all.until("call_ended")
    assert over["by"] == "the caller"


async def ended_by_the_agent(all: Exchange) -> None:
    async with all.provider.call(all.server.url) as handset:
        await handset.hears(0.4)
        handset.press("2")
        await handset.hung_up_on()
        assert handset.voice_seconds > 0.8
        assert len(handset.marks) == 1 and "goodbye" in handset.marks[0]
        assert handset.complaints == []
    asked = [path for method, path in all.provider.asked if method != "GET"]
    assert len(asked) == (0 if all.provider.name == "exotel" else 1)
    await all.lab.until(lambda: not all.lab.sessions())
    assert (await all.until("call_ended", 2))[1]["by"] == "the agent"


async def placed_by_us(all: Exchange) -> None:
    name = all.provider.name
    all.provider.flow_url = f"{all.server.url}/phone/{name}"
    status, placed = await all.ask("POST", "/calls", to="+12025550123", provider=name)
    assert status == 200 and placed["provider"] == name
    handset: Handset = await asyncio.wait_for(all.provider.answered.get(), 30)
    await handset.hears(0.4)
    assert all.lab.sessions() == [placed["sessionId"]]
    path, asked = f"/calls/{placed['callId']}", len(all.provider.asked)
    status, state = await all.ask("GET", path)  # of five providers, the one that knows it is found
    assert status == 200 and state["provider"] == name
    assert state["status"] in ("in-progress", "answered")
    assert len(all.provider.asked) == asked + 1
    status, _ = await all.ask("POST", f"{path}/transfer", to="+12025550199")
    if name == "exotel":  # it has neither in its API
        assert status == 422
        await handset.hang_up()
    else:
        assert status == 204
        await handset.hung_up_on()
        assert all.provider.calls[placed["callId"]].transferred_to.endswith("12025550199")
    for query in ("", f"?provider={name}"):
        assert (await all.ask("GET", f"/calls/unknown{query}"))[0] == 404
    await all.until("call_status")  # the provider told


def test_forged_requests_start_nothing(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        async with exchange(office, tmp_path, "twilio") as all, AsyncExitStack() as stack:
            for name in PHONES:
                provider = await stack.enter_async_context(Provider(name))
                # An account that this server knows nothing of forges all that it sends.
                assert (await provider.ring(all.server.url)).status == 401
            told = all.provider
            for proof in (Proof.MISSING, Proof.FORGED, Proof.ALTERED):
                assert (await told.ring(all.server.url, proof)).status == 401
            answer = await told.ring(all.server.url)
            assert answer.status == 200
            assert (await told.ring_again(answer)).status == 401
            url = f"{all.server.url}/phone/twilio/status"
            assert await told.tell(answer.call, url, "completed", Proof.FORGED) == 401
            assert await told.tell(answer.call, url, "completed") == 204
            refused = await told.ring(all.server.url, called="+12025550188")
            assert refused.status == 200 and "<Reject/>" in refused.text
            assert all.lab.sessions() == []
            assert len(all.events("webhook_refused")) == len(PHONES) + 5

    run(call())


@pytest.mark.parametrize("name", ["telnyx", "vonage"])
def test_old_requests_start_nothing(office: Office, tmp_path: Path, name: str) -> None:
    async def call() -> None:
        async with exchange(office, tmp_path, name) as all:
            for proof in (Proof.STALE, Proof.ALTERED, Proof.MISSING):
                assert (await all.provider.ring(all.server.url, proof)).status == 401
            answer = await all.provider.ring(all.server.url)
            assert (await all.provider.ring_again(answer)).status == 401

    run(call())


def test_vonage_may_dial_agentcore_itself_one_call_at_a_time(
    office: Office, tmp_path: Path
) -> None:
    async def call() -> None:
        settings = {"VONAGE_DIRECT": "1", "SESSIONS_AT_ONCE": "1"}
        async with exchange(office, tmp_path, "vonage", **settings) as all:
            answer = await all.provider.ring(all.server.url)
            runtime = all.lab.runtime.url.replace("http", "ws")
            assert answer.connect.url.startswith(f"{runtime}/runtimes/")
            async with all.provider.dial(answer) as handset:
                await handset.hears(0.4)
                busy = await all.provider.ring(all.server.url)
                assert (busy.status, busy.text) == (200, "[]")
            url = f"{all.server.url}/phone/vonage/status"
            assert await all.provider.tell(answer.call, url, "completed") == 204
            assert (await all.provider.ring(all.server.url)).connect.url

    run(call())


BAD_STARTS = [mistake for mistake in Mistake if mistake is not Mistake.NONE]


def test_streams_that_start_badly_reach_no_agent(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        async with exchange(office, tmp_path, "twilio") as all:

            async def fails(mistake: Mistake) -> int | None:
                answer = await all.provider.ring(all.server.url)
                async with all.provider.dial(answer, mistake) as handset:
                    return await handset.hung_up_on()

            codes = await asyncio.gather(*map(fails, BAD_STARTS))
            closed = dict(zip(BAD_STARTS, codes, strict=True))
            assert {code for m, code in closed.items() if m is not Mistake.DROPPED} == {1008}
            over = await all.until("call_ended", len(BAD_STARTS))
            assert all.lab.sessions() == [] and all.heard() == []
            told = " ".join(event["by"] for event in over)
            for words in ("at 16000 Hz", "another call's", "no start within 5 s", "it closed"):
                assert words in told

    run(call())


def test_a_caller_whom_no_agent_answers_hears_an_apology(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        # Its runtime is another one, which AgentCore answers with 404.
        other = {"AGENT_RUNTIME_ARN": ARN.replace("my_agent", "no_agent")}
        async with (
            exchange(office, tmp_path, "vonage", **other) as all,
            all.provider.call(all.server.url) as handset,
        ):
            await handset.hung_up_on()
            assert handset.voice_seconds > 2 and handset.complaints == []
            assert ("PUT", f"/v1/calls/{handset.stream.call}") in all.provider.asked
            assert all.events("agent_unreachable")[0]["why"] == "HTTP 404"

    run(call())


@pytest.mark.parametrize("seconds", ["3600", "6"], ids=["cut", "renewed"])
def test_a_call_outlives_its_connections(office: Office, tmp_path: Path, seconds: str) -> None:
    """AgentCore ends each after 60 minutes, here 6 s: a little before it, or in mid-sentence."""
    words = read_clip(SAMPLES / "twelve-times-seven.wav").sound

    async def call() -> None:
        async with (
            exchange(office, tmp_path, "twilio", 600.0, STREAM_SECONDS=seconds) as all,
            all.provider.call(all.server.url) as handset,
        ):
            await handset.hears(0.4)
            if seconds == "3600":
                while len({number for number, _ in all.heard()}) < 2:
                    await handset.say(words)
            else:
                await all.lab.until(lambda: len({number for number, _ in all.heard()}) > 1, 30)
            await handset.hears(0.9)  # the small agent greets each connection
            [session] = all.lab.sessions()
            assert session == handset.stream.call
        second = [frame for number, frame in all.heard() if number == 2]
        assert [frame["event"] for frame in second[:2]] == ["connected", "start"]
        before = {f["media"]["chunk"] for n, f in all.heard() if n == 1 and "media" in f}
        again = [f for f in second if "media" in f and f["media"]["chunk"] in before]
        assert bool(again) == (seconds == "3600")  # what was cut off is said again, and only that
        assert all.events("call_ended") == [] or all.events("call_ended")[0]["by"] == "the caller"

    run(call())


def test_an_agent_that_dies_is_called_again(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        async with (
            exchange(office, tmp_path, "plivo") as all,
            all.provider.call(all.server.url) as handset,
        ):
            await handset.hears(0.4)
            handset.press("3")
            await handset.hears(0.9)  # greeted by another process of the same session
            assert handset.complaints == []

    run(call())


def test_a_server_that_is_told_to_end_lets_calls_end_first(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        async with exchange(office, tmp_path, "twilio") as all:
            async with all.provider.call(all.server.url) as handset:
                await handset.hears(0.4)
                late = await all.provider.ring(all.server.url)
                all.server.terminate()
                await all.until("draining")
                async with all.provider.dial(late) as other:  # it was taken before
                    await other.hears(0.4)
                async with aiohttp.ClientSession(all.server.url) as http, http.get("/health") as it:
                    assert (it.status, await it.json()) == (503, {"status": "draining"})
                assert (await all.provider.ring(all.server.url)).status == 503
                assert (await all.ask("POST", "/calls", to="+12025550123"))[0] == 503
                handset.press("1")
                await handset.is_cleared()
                handset.press("2")
                await handset.hung_up_on()
                assert handset.voice_seconds > 0.8 and handset.complaints == []
            assert await asyncio.to_thread(all.server.process.wait, 30) == -signal.SIGTERM
            assert [over["by"] for over in all.events("call_ended")] == ["the caller", "the agent"]
            assert all.lab.sessions() == []

    run(call())


def test_whom_we_have_called_is_spoken_to_although_the_server_ends(
    office: Office, tmp_path: Path
) -> None:
    async def call() -> None:
        async with exchange(office, tmp_path, "telnyx") as all:
            all.provider.ring_seconds = 1
            placed = await all.ask("POST", "/calls", to="+12025550123", provider="telnyx")
            assert placed[0] == 200
            all.server.terminate()
            handset = await asyncio.wait_for(all.provider.answered.get(), 30)
            await handset.hears(0.4)
            assert (await all.provider.ring(all.server.url)).status == 503
            handset.press("2")
            await handset.hung_up_on()
            assert handset.voice_seconds > 0.8 and handset.complaints == []
            assert await asyncio.to_thread(all.server.process.wait, 30) == -signal.SIGTERM
            assert [over["by"] for over in all.events("call_ended")] == ["the agent"]

    run(call())


def test_who_still_speaks_then_hears_an_apology(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        async with (
            exchange(office, tmp_path, "vonage", DRAIN_SECONDS="1") as all,
            all.provider.call(all.server.url) as handset,
        ):
            await handset.hears(0.4)
            all.server.terminate()
            await handset.hung_up_on()
            assert handset.voice_seconds > 2 and handset.complaints == []
            assert ("PUT", f"/v1/calls/{handset.stream.call}") in all.provider.asked
            assert await asyncio.to_thread(all.server.process.wait, 30) == -signal.SIGTERM
            assert all.events("call_ended")[0]["by"] == "the server: it is stopping"
            assert all.lab.sessions() == []

    run(call())


def test_a_second_signal_waits_for_nobody(office: Office, tmp_path: Path) -> None:
    async def call() -> None:
        async with (
            exchange(office, tmp_path, "plivo") as all,
            all.provider.call(all.server.url) as handset,
        ):
            await handset.hears(0.4)
            all.server.terminate()
            await all.until("draining")
            all.server.terminate()
            assert await handset.hung_up_on() == 1012  # the server restarts
            assert await asyncio.to_thread(all.server.process.wait, 30) == -signal.SIGTERM

    run(call())
