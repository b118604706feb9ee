"""A generated server connects phone providers to the local runtime, also when parts fail."""

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

from tests.files import complete_lines
from tests.ports import free_port
from tests.server.serving import AUTHORIZED, UNLIMITED, RunningServer, make_server, serving
from tests.standins.phone import Handset, Mistake, Proof, Provider
from tests.standins.runtime.runtime_lab import ARN, RuntimeLab, runtime_lab
from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports.record import HEADERS
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.gateway.sigv4 import make_credentials
from voicecore.local.limits import MAX_LIFETIME
from voicecore.local.sessions.lifecycle import Lifecycle
from voicecore.talk.audio.sound_files import read_clip

SAMPLES = Path(__file__).parents[2] / "voicecore" / "samples"
AGENT = Path(__file__).parents[1] / "standins/server/phone_agent.py"
every_provider = pytest.mark.parametrize("name", PHONES)


@dataclass(frozen=True)
class ServerFiles:
    """A generated server for all five providers, and the port of its runtime."""

    folder: Path
    port: int
    root: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ServerFiles:
    root = tmp_path_factory.mktemp("server")
    return ServerFiles(make_server(root, ("telephony",), tuple(PHONES)), free_port(), root)


@dataclass
class PhoneSystem:
    """Provider, server and runtime of one test."""

    provider: Provider
    server: RunningServer
    lab: RuntimeLab
    root: Path

    def heard(self) -> list[tuple[int, Any]]:
        """Return what the agent received: connection number and frame (or number of bytes)."""
        lines = complete_lines(self.root / "heard.jsonl")
        return [(number, frame) for number, frame in map(json.loads, lines)]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in complete_lines(self.server.log)]
        return [line for line in lines if line["event"] == name]

    async def until(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for `count` events of this name in the server's log, and return them."""
        await self.lab.until(lambda: len(self.events(event)) >= count)
        return self.events(event)

    async def ask(self, method: str, path: str, **body: str) -> tuple[int, Any]:
        """Return the answer of the server's own API."""
        async with (
            aiohttp.ClientSession(self.server.url, headers=AUTHORIZED) as http,
            http.request(method, f"/phone{path}", json=body or None) as answer,
        ):
            return answer.status, await answer.json() if answer.status != 204 else None


@asynccontextmanager
async def phone_system(
    files: ServerFiles, tmp_path: Path, name: str, time_scale: float = 1.0, /, **settings: str
) -> AsyncIterator[PhoneSystem]:
    """Run provider, server and runtime."""
    async with AsyncExitStack() as stack:
        providers = {p: await stack.enter_async_context(Provider(p)) for p in PHONES}
        variables = {k: v for p in providers.values() for k, v in p.variables.items()}
        pair = make_credentials()
        runtime = await stack.enter_async_context(
            runtime_lab(
                tmp_path,
                app=AGENT,
                port=files.port,
                credentials=pair,
                time_scale=time_scale,
                lifecycle=Lifecycle(idle_timeout=MAX_LIFETIME),  # no session ends as idle
                allowlist=check_allowlist(HEADERS),
            )
        )
        keys = {
            "AWS_ACCESS_KEY_ID": pair.access_key_id,
            "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
            "AGENT_RUNTIME_ARN": ARN,
        }
        log = tmp_path / "server.log"
        own = variables | keys | UNLIMITED | settings
        server = await asyncio.to_thread(
            stack.enter_context, serving(files.folder, log, runtime.runtime.url, **own)
        )
        yield PhoneSystem(providers[name], server, runtime, tmp_path)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@every_provider
def test_calls_in_and_out_from_ring_to_hang_up(
    files: ServerFiles, tmp_path: Path, name: str
) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, name) as system:
            await incoming_call(system)
            await call_ended_by_the_agent(system)
            await outgoing_call(system)

    run(call())


async def incoming_call(system: PhoneSystem) -> None:
    answer = await system.provider.ring(system.server.url)
    async with system.provider.dial(answer) as handset:
        await handset.hears(0.4)
        [session] = system.lab.sessions()
        assert session.removeprefix(f"{system.provider.name}-") in (
            answer.call.phone_call.id,
            session[-36:],
        )
        handset.press("1")
        await handset.is_cleared()
        assert handset.complaints == []
    await system.lab.until(
        lambda: not system.lab.sessions()
    )  # stopped at hang-up, not by a timeout
    frames = [frame for _, frame in system.heard()]
    opening = [frame["event"] for frame in frames[:2] if isinstance(frame, dict)]
    assert "start" in opening or opening[0] == "websocket:connected"
    media = [frame["media"] for frame in frames if isinstance(frame, dict) and "media" in frame]
    numbers = [int(sound["chunk"]) for sound in media if "chunk" in sound]
    assert numbers == sorted(numbers)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):  # its ticket is used up
        async with system.provider.dial(answer):
            pass
    [ended] = await system.until("call_ended")
    assert ended["by"] == "the caller"


async def call_ended_by_the_agent(system: PhoneSystem) -> None:
    async with system.provider.call(system.server.url) as handset:
        await handset.hears(0.4)
        handset.press("2")
        await handset.hung_up_on()
        assert handset.voice_seconds > 0.8
        assert len(handset.marks) == 1 and "goodbye" in handset.marks[0]
        assert handset.complaints == []
    asked = [path for method, path in system.provider.asked if method != "GET"]
    assert len(asked) == (0 if system.provider.name == "exotel" else 1)
    await system.lab.until(lambda: not system.lab.sessions())
    assert (await system.until("call_ended", 2))[1]["by"] == "the agent"


async def outgoing_call(system: PhoneSystem) -> None:
    name = system.provider.name
    system.provider.flow_url = f"{system.server.url}/phone/{name}"
    status, placed = await system.ask("POST", "/calls", to="+12025550123", provider=name)
    assert status == 200 and placed["provider"] == name
    handset: Handset = await asyncio.wait_for(system.provider.answered.get(), 120)
    await handset.hears(0.4)
    assert system.lab.sessions() == [placed["sessionId"]]
    path, asked = f"/calls/{placed['callId']}", len(system.provider.asked)
    status, state = await system.ask("GET", path)  # the server finds its provider
    assert status == 200 and state["provider"] == name
    assert state["status"] in ("in-progress", "answered")
    assert len(system.provider.asked) == asked + 1
    status, _ = await system.ask("POST", f"{path}/transfer", to="+12025550199")
    if name == "exotel":  # its API has neither
        assert status == 422
        await handset.hang_up()
    else:
        assert status == 204
        await handset.hung_up_on()
        assert system.provider.calls[placed["callId"]].transferred_to.endswith("12025550199")
    for query in ("", f"?provider={name}"):
        assert (await system.ask("GET", f"/calls/unknown{query}"))[0] == 404
    await system.until("call_status")  # from the provider


def test_forged_requests_start_nothing(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "twilio") as system, AsyncExitStack() as stack:
            for name in PHONES:
                provider = await stack.enter_async_context(Provider(name))
                # Signed by another account.
                assert (await provider.ring(system.server.url)).status == 401
            twilio = system.provider
            for proof in (Proof.MISSING, Proof.FORGED, Proof.ALTERED):
                assert (await twilio.ring(system.server.url, proof)).status == 401
            answer = await twilio.ring(system.server.url)
            assert answer.status == 200
            assert (await twilio.ring_again(answer)).status == 401
            url = f"{system.server.url}/phone/twilio/status"
            assert await twilio.tell(answer.call, url, "completed", Proof.FORGED) == 401
            assert await twilio.tell(answer.call, url, "completed") == 204
            refused = await twilio.ring(system.server.url, called="+12025550188")
            assert refused.status == 200 and "<Reject/>" in refused.text
            assert system.lab.sessions() == []
            assert len(system.events("webhook_refused")) == len(PHONES) + 5

    run(call())


@pytest.mark.parametrize("name", ["telnyx", "vonage"])
def test_old_requests_start_nothing(files: ServerFiles, tmp_path: Path, name: str) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, name) as system:
            for proof in (Proof.STALE, Proof.ALTERED, Proof.MISSING):
                assert (await system.provider.ring(system.server.url, proof)).status == 401
            answer = await system.provider.ring(system.server.url)
            assert (await system.provider.ring_again(answer)).status == 401

    run(call())


def test_vonage_can_connect_to_agentcore_directly_within_the_call_limit(
    files: ServerFiles, tmp_path: Path
) -> None:
    async def call() -> None:
        settings = {"VONAGE_DIRECT": "1", "SESSIONS_AT_ONCE": "1"}
        async with phone_system(files, tmp_path, "vonage", **settings) as system:
            answer = await system.provider.ring(system.server.url)
            runtime = system.lab.runtime.url.replace("http", "ws")
            assert answer.connect.url.startswith(f"{runtime}/runtimes/")
            async with system.provider.dial(answer) as handset:
                await handset.hears(0.4)
                busy = await system.provider.ring(system.server.url)
                assert (busy.status, busy.text) == (200, "[]")
            url = f"{system.server.url}/phone/vonage/status"
            assert await system.provider.tell(answer.call, url, "completed") == 204
            assert (await system.provider.ring(system.server.url)).connect.url

    run(call())


BAD_STARTS = [mistake for mistake in Mistake if mistake is not Mistake.NONE]


def test_invalid_streams_reach_no_agent(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "twilio") as system:

            async def fails(mistake: Mistake) -> int | None:
                answer = await system.provider.ring(system.server.url)
                async with system.provider.dial(answer, mistake) as handset:
                    return await handset.hung_up_on()

            codes = await asyncio.gather(*map(fails, BAD_STARTS))
            closed = dict(zip(BAD_STARTS, codes, strict=True))
            assert {code for m, code in closed.items() if m is not Mistake.DROPPED} == {1008}
            ended = await system.until("call_ended", len(BAD_STARTS))
            assert system.lab.sessions() == [] and system.heard() == []
            reasons = " ".join(event["by"] for event in ended)
            for words in ("at 16000 Hz", "another call's", "no start within 5 s", "it closed"):
                assert words in reasons

    run(call())


def test_caller_hears_apology_when_no_agent_answers(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        # AgentCore answers 404 for this runtime.
        other = {"AGENT_RUNTIME_ARN": ARN.replace("my_agent", "no_agent")}
        async with (
            phone_system(files, tmp_path, "vonage", **other) as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hung_up_on()
            assert handset.voice_seconds > 2 and handset.complaints == []
            assert ("PUT", f"/v1/calls/{handset.stream.call}") in system.provider.asked
            assert system.events("agent_unreachable")[0]["why"] == "HTTP 404"

    run(call())


@pytest.mark.parametrize("seconds", ["3600", "6"], ids=["cut", "renewed"])
def test_call_continues_over_several_agent_connections(
    files: ServerFiles, tmp_path: Path, seconds: str
) -> None:
    """AgentCore ends a connection after 60 minutes, here 6 s; the server may renew it before."""
    words = read_clip(SAMPLES / "twelve-times-seven.wav").audio

    async def call() -> None:
        async with (
            phone_system(files, tmp_path, "twilio", 600.0, STREAM_SECONDS=seconds) as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hears(0.4)
            if seconds == "3600":
                while len({number for number, _ in system.heard()}) < 2:
                    await handset.say(words)
            else:
                await system.lab.until(lambda: len({number for number, _ in system.heard()}) > 1)
            await handset.hears(0.9)  # the agent greets each connection
            [session] = system.lab.sessions()
            assert session == handset.stream.call
        second = [frame for number, frame in system.heard() if number == 2]
        assert [frame["event"] for frame in second[:2]] == ["connected", "start"]
        before = {f["media"]["chunk"] for n, f in system.heard() if n == 1 and "media" in f}
        again = [f for f in second if "media" in f and f["media"]["chunk"] in before]
        assert bool(again) == (seconds == "3600")  # only audio that was cut off is sent again
        assert (
            system.events("call_ended") == []
            or system.events("call_ended")[0]["by"] == "the caller"
        )

    run(call())


def test_crashed_agent_is_replaced_during_the_call(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with (
            phone_system(files, tmp_path, "plivo") as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hears(0.4)
            handset.press("3")
            await handset.hears(0.9)  # the greeting of a new process of the session
            assert handset.complaints == []

    run(call())


def test_sigterm_drains_calls_before_the_server_ends(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "twilio") as system:
            async with system.provider.call(system.server.url) as handset:
                await handset.hears(0.4)
                late = await system.provider.ring(system.server.url)
                system.server.terminate()
                await system.until("draining")
                async with system.provider.dial(late) as other:  # answered before the drain
                    await other.hears(0.4)
                async with (
                    aiohttp.ClientSession(system.server.url) as http,
                    http.get("/health") as it,
                ):
                    assert (it.status, await it.json()) == (503, {"status": "draining"})
                assert (await system.provider.ring(system.server.url)).status == 503
                assert (await system.ask("POST", "/calls", to="+12025550123"))[0] == 503
                handset.press("1")
                await handset.is_cleared()
                handset.press("2")
                await handset.hung_up_on()
                assert handset.voice_seconds > 0.8 and handset.complaints == []
            assert await asyncio.to_thread(system.server.process.wait, 120) == -signal.SIGTERM
            assert [ended["by"] for ended in system.events("call_ended")] == [
                "the caller",
                "the agent",
            ]
            await system.lab.until(lambda: not system.lab.sessions())

    run(call())


def test_placed_call_that_still_rings_is_drained(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with phone_system(files, tmp_path, "telnyx") as system:
            system.provider.ring_seconds = 1
            placed = await system.ask("POST", "/calls", to="+12025550123", provider="telnyx")
            assert placed[0] == 200
            system.server.terminate()
            handset = await asyncio.wait_for(system.provider.answered.get(), 120)
            await handset.hears(0.4)
            assert (await system.provider.ring(system.server.url)).status == 503
            handset.press("2")
            await handset.hung_up_on()
            assert handset.voice_seconds > 0.8 and handset.complaints == []
            assert await asyncio.to_thread(system.server.process.wait, 120) == -signal.SIGTERM
            assert [ended["by"] for ended in system.events("call_ended")] == ["the agent"]

    run(call())


def test_caller_hears_apology_when_the_drain_ends(files: ServerFiles, tmp_path: Path) -> None:
    async def call() -> None:
        async with (
            phone_system(files, tmp_path, "vonage", DRAIN_SECONDS="1") as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hears(0.4)
            system.server.terminate()
            await handset.hung_up_on()
            assert handset.voice_seconds > 2 and handset.complaints == []
            assert ("PUT", f"/v1/calls/{handset.stream.call}") in system.provider.asked
            assert await asyncio.to_thread(system.server.process.wait, 120) == -signal.SIGTERM
            assert system.events("call_ended")[0]["by"] == "the server: it is stopping"
            await system.lab.until(lambda: not system.lab.sessions())

    run(call())


@pytest.mark.parametrize("drain_seconds", ["0", "90"])
def test_no_drain_or_second_sigterm_ends_the_server_at_once(
    files: ServerFiles, tmp_path: Path, drain_seconds: str
) -> None:
    async def call() -> None:
        async with (
            phone_system(files, tmp_path, "plivo", DRAIN_SECONDS=drain_seconds) as system,
            system.provider.call(system.server.url) as handset,
        ):
            await handset.hears(0.4)
            system.server.terminate()
            if drain_seconds != "0":
                await system.until("draining")
                system.server.terminate()
            assert await handset.hung_up_on() == 1012  # the server restarts
            assert await asyncio.to_thread(system.server.process.wait, 120) == -signal.SIGTERM

    run(call())
