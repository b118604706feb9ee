"""A session takes a place of its caller only while it is open, on every transport."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.ports import free_port
from tests.server.serving import AUTHORIZED, OFFER, RunningServer, serving, start
from tests.standins.server.agentcore import AgentCore

TWO = {"SESSIONS_AT_ONCE": "2"}


@pytest.fixture
def broken(folder: Path, aws: AgentCore, tmp_path: Path) -> Iterator[RunningServer]:
    """A server for two sessions, whose starts fail on every transport."""
    aws.refusals = [(403, "AccessDeniedException")]
    settings = {
        "ICE_SERVER_URLS": "stun:turn.example",  # no relay
        "DAILY_API_KEY": "key",
        "DAILY_API_URL": f"http://127.0.0.1:{free_port()}",
    }
    with serving(folder, tmp_path / "log", aws.url, **TWO, **settings) as server:
        yield server


async def ask(client: aiohttp.ClientSession, **body: object) -> tuple[int, dict[str, Any]]:
    async with client.post("/start", json=body, headers=AUTHORIZED) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("transport", ["websocket", "webrtc", "daily"])
def test_failed_starts_take_no_place(broken: RunningServer, transport: str) -> None:
    async def five() -> list[tuple[int, dict[str, Any]]]:
        async with broken.client() as client:
            return [await ask(client, transport=transport) for _ in range(5)]

    answers = asyncio.run(five())
    assert all(status in (502, 503) for status, _ in answers), answers


def test_failed_resume_keeps_the_place(folder: Path, aws: AgentCore, tmp_path: Path) -> None:
    async def resume() -> tuple[int, int, int]:
        async with server.client() as client:
            _, mine = await ask(client, transport="websocket")
            aws.refusals = [(403, "AccessDeniedException")]
            again = {"sessionId": mine["sessionId"], "token": mine["token"]}
            failed, _ = await ask(client, **again)
            aws.refusals = [(200, "")]
            second, _ = await ask(client)
            third, _ = await ask(client)
            return failed, second, third

    with serving(folder, tmp_path / "log", aws.url, **TWO) as server:
        assert asyncio.run(resume()) == (502, 200, 429)


def test_hang_up_that_fails_ends_the_token_and_keeps_the_place(
    folder: Path, aws: AgentCore, tmp_path: Path
) -> None:
    async def hang_up() -> list[int]:
        statuses: list[int] = []
        async with server.client() as client:
            path, token = await start(client)
            await start(client)
            aws.refusals = [(403, "AccessDeniedException")]
            async with client.delete(path, headers=token) as answer:
                statuses.append(answer.status)
            async with client.post(f"{path}/api/offer", json=OFFER, headers=token) as answer:
                statuses.append(answer.status)
            statuses.append((await ask(client, transport="webrtc"))[0])
            aws.refusals = []
            async with client.delete(path, headers=token) as answer:
                statuses.append(answer.status)
            statuses.append((await ask(client, transport="webrtc"))[0])
        return statuses

    with serving(folder, tmp_path / "log", aws.url, **TWO) as server:
        assert asyncio.run(hang_up()) == [502, 404, 429, 204, 200]


def test_key_cannot_continue_an_ended_session(folder: Path, aws: AgentCore, tmp_path: Path) -> None:
    async def offer() -> int:
        async with server.client() as client:
            path, token = await start(client)
            async with client.delete(path, headers=token):
                pass
            async with client.post(f"{path}/api/offer", json=OFFER, headers=AUTHORIZED) as answer:
                return answer.status

    with serving(folder, tmp_path / "log", aws.url) as server:
        assert asyncio.run(offer()) == 404
    assert not aws.calls["offer"]


def test_session_that_ends_while_it_is_resumed_is_stopped(
    folder: Path, aws: AgentCore, tmp_path: Path
) -> None:
    async def resume() -> tuple[int, int]:
        async with server.client() as client:
            _, mine = await ask(client, transport="websocket")
            aws.seconds = 1
            aws.called.clear()
            again = {"sessionId": mine["sessionId"], "token": mine["token"]}
            resuming = asyncio.create_task(ask(client, **again))
            assert await asyncio.to_thread(aws.called.wait, 60)  # the agent is being asked
            aws.seconds = 0
            token = {"X-Session-Token": mine["token"]}
            async with client.delete(f"/sessions/{mine['sessionId']}", headers=token) as answer:
                ended = answer.status
            return ended, (await resuming)[0]

    with serving(folder, tmp_path / "log", aws.url, **TWO) as server:
        assert asyncio.run(resume()) == (204, 404)
    assert aws.calls["stop"] == 2


def test_session_that_ends_during_its_offer_is_stopped_again(
    folder: Path, aws: AgentCore, tmp_path: Path
) -> None:
    async def race() -> None:
        async with server.client() as client:
            path, token = await start(client)
            aws.seconds = 1
            aws.called.clear()
            offering = asyncio.create_task(
                client.post(f"{path}/api/offer", json=OFFER, headers=token)
            )
            assert await asyncio.to_thread(aws.called.wait, 60)  # the agent is being asked
            aws.seconds = 0
            async with client.delete(path, headers=token) as answer:
                assert answer.status == 204
            async with await offering:
                pass
            for _ in range(2):  # the session has no place
                await start(client)

    with serving(folder, tmp_path / "log", aws.url, **TWO) as server:
        asyncio.run(race())
    # The first stop came before the agent had answered the offer, which may have started it again.
    assert aws.calls["stop"] == 2
