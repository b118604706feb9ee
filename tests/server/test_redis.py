"""Several servers share their sessions through Redis, and one of them may die."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.ports import free_port
from tests.server.serving import AUTHORIZED, KEY, UNLIMITED, RunningServer, offer, serving, start
from tests.standins.server.agentcore import AgentCore
from voicecore.contract.invites import invite_id, sign_invite


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run Redis without persistence."""
    port = free_port()
    argv = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0", process
        finally:
            process.terminate()


@pytest.mark.needs("redis-server")
def test_calls_continue_after_one_of_two_servers_dies(
    folder: Path, aws: AgentCore, tmp_path: Path
) -> None:
    limits = UNLIMITED | {"SESSIONS_AT_ONCE": "2"}
    with (
        redis(tmp_path) as (store, process),
        serving(folder, tmp_path / "1", aws.url, SESSION_STORE=store, **limits) as first,
        serving(folder, tmp_path / "2", aws.url, SESSION_STORE=store, **limits) as second,
    ):
        asyncio.run(conversation(first, second, process))


async def conversation(
    first: RunningServer, second: RunningServer, redis: "subprocess.Popen[bytes]"
) -> None:
    async with first.client() as one, second.client() as other:
        invite = sign_invite(KEY, time.time() + 3600)
        invited = {"Authorization": f"Bearer {invite}"}
        async with one.post("/start", json={}, headers=invited) as answer:
            assert answer.status == 200
        async with other.delete(f"/invites/{invite_id(invite)}", headers=AUTHORIZED) as answer:
            assert await answer.json() == {"ended": 1}
        path, token = await start(one)
        ended, its = await start(one)
        async with other.post("/start", headers=AUTHORIZED) as answer:
            assert answer.status == 429  # two sessions run, and both servers count them
        async with one.delete(ended, headers=its) as answer:
            assert answer.status == 204
        first.process.kill()
        first.process.wait()
        assert await offer(other, path, token) == 200
        assert await offer(other, ended, its) == 404
        session = path.rpartition("/")[2]
        again = {"sessionId": session, "token": token["X-Session-Token"]}
        assert (await start(other, **again))[0] == path
        async with other.delete(path, headers=token) as answer:
            assert answer.status == 204
        redis.send_signal(signal.SIGSTOP)  # first it hangs, then it is gone
        assert await refused(other) == (503, "no_session_table")
        redis.kill()
        redis.wait()
        assert await refused(other) == (503, "no_session_table")
        async with other.get("/health") as answer:
            assert answer.status == 200


async def refused(client: aiohttp.ClientSession) -> tuple[int, str]:
    async with client.post("/start", headers=AUTHORIZED) as answer:
        return answer.status, (await answer.json())["error"]["code"]
