"""Hostile requests are refused, and other clients are not affected."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import hostile, ipv6_crowd
from tests.server.serving import KEY, RunningServer

REQUESTS = 600  # benchmarks/server.py sends 10,000
SLOW_CLIENTS = 40


def test_hostile_requests_are_refused_and_cost_no_memory(shared: RunningServer) -> None:
    first = asyncio.run(hostile.attack(shared, REQUESTS // 3, seed=1))
    before = shared.megabytes()
    second = asyncio.run(hostile.attack(shared, REQUESTS, seed=2))
    assert first.faults + second.faults == []
    assert second.statuses[401] and second.statuses[403] and second.statuses[422]
    assert second.statuses[404] and second.statuses[413]
    assert shared.megabytes() - before < 20
    written = shared.log.read_text()
    assert "Traceback" not in written
    assert KEY not in written and "Bearer" not in written and "eyJ" not in written


def test_slow_clients_are_disconnected_and_delay_no_others(shared: RunningServer) -> None:
    async def crowd() -> tuple[list[bytes], list[bytes], int]:
        head = b"GET /health HTTP/1.1\r\nX-A: "
        body = b"POST /start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        body += b"Content-Length: 1000\r\n\r\n"
        async with shared.client() as client:
            heads = [
                asyncio.create_task(hostile.slow_request(shared, head, b"a"))
                for _ in range(SLOW_CLIENTS)
            ]
            bodies = [
                asyncio.create_task(hostile.slow_request(shared, body, b" ")) for _ in range(5)
            ]
            async with asyncio.timeout(60):
                while shared.connections() < SLOW_CLIENTS + 5:  # noqa: ASYNC110 - a process counts
                    await asyncio.sleep(0.05)
            async with client.get("/health") as answer:
                assert answer.status == 200
                assert not any(task.done() for task in [*heads, *bodies])
            sent = await hostile.endless_head(shared)
            return await asyncio.gather(*heads), await asyncio.gather(*bodies), sent

    heads, bodies, sent = asyncio.run(crowd())
    assert heads == [b""] * SLOW_CLIENTS
    assert all(b" 408 " in answer and b"too_slow" in answer for answer in bodies)
    assert sent < 5_000_000


def test_one_address_may_have_256_connections(shared: RunningServer) -> None:
    async def open_many() -> int:
        pairs = [await hostile.connect(shared) for _ in range(300)]
        left = len(pairs)
        while left > 256:  # until the server has closed the others
            await asyncio.sleep(0.1)
            left = sum(not reader.at_eof() for reader, _ in pairs)
        await asyncio.sleep(0.5)
        left = sum(not reader.at_eof() for reader, _ in pairs)
        for _, writer in pairs:
            writer.close()
        return left

    assert asyncio.run(open_many()) == 256


@pytest.mark.needs("network namespaces")
def test_one_ipv6_network_may_have_256_connections(folder: Path, tmp_path: Path) -> None:
    prepare = (
        "ip link set lo up && sysctl -qw net.ipv6.ip_nonlocal_bind=1"
        f" && ip -6 route add local {ipv6_crowd.NETWORK}/64 dev lo"
    )
    crowd = f"{sys.executable} -m tests.server.ipv6_crowd {folder} {tmp_path / 'log'}"
    argv = ["unshare", "--net", "sh", "-c", f"{prepare} && exec {crowd}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) == ipv6_crowd.SERVED
