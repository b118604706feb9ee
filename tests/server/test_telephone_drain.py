"""A server that is told to end finishes its phone calls."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.server.phone_systems import ServerFiles, phone_system, run


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
