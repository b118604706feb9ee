"""The server under load, with a failing AWS, and while it stops: every client gets an answer."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.server.serving import AUTHORIZED, OFFER, UNLIMITED, RunningServer, serving, start
from tests.standins.server.agentcore import ANSWER, AgentCore

STARTS = 200  # benchmarks/server.py: 1,000
CALLS = 60  # benchmarks/server.py: 200


def test_burst_is_served_up_to_the_limit(folder: Path, aws: AgentCore, tmp_path: Path) -> None:
    async def burst(server: RunningServer) -> list[tuple[int, str]]:
        async def one(client: aiohttp.ClientSession) -> tuple[int, str]:
            async with client.post("/start", headers=AUTHORIZED) as answer:
                return answer.status, answer.headers.get("Retry-After", "")

        async with server.client() as client:
            return await asyncio.gather(*(one(client) for _ in range(STARTS)))

    limits = UNLIMITED | {"STARTS_PER_MINUTE": str(STARTS // 4)}
    with serving(folder, tmp_path / "log", aws.url, **limits) as server:
        answers = in_one_minute(lambda: asyncio.run(burst(server)))
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) == STARTS // 4
    assert all(0 < int(after) <= 60 for status, after in answers if status == 429)


def in_one_minute(work: Callable[[], list[tuple[int, str]]]) -> list[tuple[int, str]]:
    """Return the result of `work` from a run that stays within one minute of the clock.

    The server counts starts by the minute of the clock.
    """
    while True:
        minute = time.time() // 60
        result = work()
        if time.time() // 60 == minute:
            return result
        time.sleep(60 - time.time() % 60)


def test_many_calls_start_at_once(server: RunningServer, aws: AgentCore) -> None:
    aws.seconds = 2

    async def call(client: aiohttp.ClientSession) -> None:
        path, token = await start(client)
        async with client.post(f"{path}/api/offer", json=OFFER, headers=token) as answer:
            assert (answer.status, await answer.json()) == (200, ANSWER)

    async def crowd() -> None:
        async with server.client() as client:
            await asyncio.gather(*(call(client) for _ in range(CALLS)))

    asyncio.run(crowd())
    assert aws.most > CALLS // 2
    assert len(aws.sessions) == CALLS


def test_errors_of_aws_get_the_right_status(server: RunningServer, aws: AgentCore) -> None:
    async def offer(
        client: aiohttp.ClientSession, *refusals: tuple[int, str]
    ) -> aiohttp.ClientResponse:
        path, token = await start(client)
        aws.refusals = list(refusals)
        aws.calls.clear()
        async with client.post(f"{path}/api/offer", json=OFFER, headers=token) as answer:
            assert "a secret" not in await answer.text()
            return answer

    async def ask() -> None:
        async with server.client() as client:
            busy = await offer(client, (429, "ThrottlingException"))
            assert (busy.status, busy.headers["Retry-After"]) == (503, "2")
            assert aws.calls["offer"] == 2
            once = await offer(client, (500, "InternalServerException"), (200, ""))
            assert (once.status, aws.calls["offer"]) == (200, 2)
            quota = await offer(client, (402, "ServiceQuotaExceededException"))
            assert quota.status == 503
            for status, code in ((403, "AccessDeniedException"), (424, "RuntimeClientError")):
                refused = await offer(client, (status, code))
                assert (refused.status, aws.calls["offer"]) == (502, 1)
            aws.refusals = [(404, "ResourceNotFoundException")]
            path, token = await start(client)
            async with client.delete(path, headers=token) as gone:
                assert gone.status == 204

    asyncio.run(ask())


def test_hanging_aws_is_a_timeout_error(server: RunningServer, aws: AgentCore) -> None:
    aws.hangs = True

    async def timed_out(method: str, path: str, **more: Any) -> tuple[int, str]:
        async with server.client() as client:
            mine, token = await start(client)
            async with client.request(method, mine + path, headers=token, **more) as answer:
                return answer.status, (await answer.json())["error"]["code"]

    async def both() -> list[tuple[int, str]]:
        offer = timed_out("POST", "/api/offer", json=OFFER)
        return list(await asyncio.gather(timed_out("DELETE", ""), offer))

    assert asyncio.run(both()) == [(504, "aws_timeout")] * 2


def test_sigterm_lets_starting_calls_start(server: RunningServer, aws: AgentCore) -> None:
    aws.seconds = 2

    async def call() -> None:
        async with server.client() as client:
            path, token = await start(client)
            offer = asyncio.create_task(
                client.post(f"{path}/api/offer", json=OFFER, headers=token).__aenter__()
            )
            assert await asyncio.to_thread(aws.called.wait, 120)
            server.terminate()
            answer = await offer
            assert (answer.status, await answer.json()) == (200, ANSWER)

    asyncio.run(call())
    assert server.process.wait(120) in (0, -15)  # uvicorn exits with the signal
