"""A stranger's connections, requests and upgrades are limited in number, size and time."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.files import complete_lines
from tests.server import hostile
from tests.server.media import (
    CALL,
    CREDENTIALS,
    PING,
    frame,
    handshake,
    open_media,
    silent_agentcore,
)
from tests.server.serving import AUTHORIZED, UNLIMITED, RunningServer, make_server, serving
from tests.standins.server.agentcore import agentcore

GET = b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phones")
    return make_server(root, ("websocket", "telephony"), ("twilio",))


@pytest.fixture
def server(phones: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """A server with phone calls whose agent never answers."""
    with (
        silent_agentcore() as aws,
        serving(phones, tmp_path / "log", aws, **UNLIMITED, **CREDENTIALS) as server,
    ):
        yield server
        server.process.kill()  # not to wait for its calls


async def answer_to(server: RunningServer, request: bytes) -> bytes:
    """Send bytes; return what the server sends until it closes."""
    reader, writer = await hostile.connect(server)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"X-Long: " + b"a" * 8300, b" 431 "), (b"Content-Length: 9", b" 400 ")],
    ids=["long", "body"],
)
def test_invalid_upgrade_is_answered_counted_and_logged(
    server: RunningServer, line: bytes, status: bytes
) -> None:
    async def work() -> None:
        assert status in await answer_to(server, handshake("/phone/twilio/media/x", line))
        async with server.client() as client, client.get("/metrics", headers=AUTHORIZED) as answer:
            assert f'status="{status.decode().strip()}"' in await answer.text()

    run(work())
    lines = map(json.loads, complete_lines(server.log))
    assert [line["why"] for line in lines if line["event"] == "media_refused"] == [
        f"HTTP {status.decode().strip()}"
    ]


def test_refused_media_socket_is_counted_and_logged_once(server: RunningServer) -> None:
    async def work() -> None:
        assert b" 403 " in await answer_to(server, handshake("/phone/twilio/media/forged"))
        async with server.client() as client, client.get("/metrics", headers=AUTHORIZED) as answer:
            counted = 'route="/phone/{name}/media/{ticket}",status="403"} 1.0'
            assert counted in (await answer.text()).replace('method="GET",', "")

    run(work())
    assert server.log.read_text().count("media_refused") == 1


def test_open_media_sockets_count_as_connections(server: RunningServer) -> None:
    async def opened(number: int) -> asyncio.StreamWriter | None:
        try:
            return (await open_media(server, f"{CALL[:-3]}{number:03}"))[1]
        except (ConnectionError, asyncio.IncompleteReadError):
            return None

    async def work() -> None:
        sockets = await asyncio.gather(*(opened(number) for number in range(300)))
        writers = [writer for writer in sockets if writer]
        for writer in writers:
            writer.close()
        assert len(writers) == 256

    run(work())


def test_pipelined_requests_cost_no_memory(server: RunningServer) -> None:
    async def work() -> None:
        answered = await answer_to(server, GET * 3)  # some are answered
        assert answered.count(b"HTTP/1.1 200") == 3
        before = server.peak_megabytes()
        await answer_to(server, GET * (8_000_000 // len(GET)))
        assert server.peak_megabytes() - before < 20

    run(work())


def test_client_that_reads_no_answers_is_disconnected(phones: Path, tmp_path: Path) -> None:
    impatient = tmp_path / "server"
    shutil.copytree(phones / "internal", impatient / "internal")
    (impatient / ".venv").symlink_to(phones / ".venv")
    limits = impatient / "internal" / "http_protocol.py"
    limits.write_text(limits.read_text().replace("REQUEST_SECONDS = 120", "REQUEST_SECONDS = 1"))

    requests = b"GET /pipecat.js HTTP/1.1\r\nHost: x\r\n\r\n" * 8
    with (
        serving(
            impatient, tmp_path / "log", "http://127.0.0.1:9", **UNLIMITED, **CREDENTIALS
        ) as server,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.settimeout(30)
        with pytest.raises(ConnectionError):
            for _ in range(200):  # until the buffers of the system are full
                client.sendall(requests)
                time.sleep(0.1)
    assert "Traceback" not in server.log.read_text()


def test_connections_are_fewer_than_open_files(phones: Path, tmp_path: Path) -> None:
    async def work(server: RunningServer) -> None:
        pairs = [await hostile.connect(server) for _ in range(150)]
        refused = [asyncio.create_task(reader.read()) for reader, _ in pairs[50:]]
        await asyncio.wait(refused)
        assert not any(reader.at_eof() for reader, _ in pairs[:50])
        for _, writer in pairs:
            writer.close()
        async with server.client() as client, client.get("/health") as answer:
            assert answer.status == 200

    files = ("prlimit", "--nofile=200:200")
    limits = UNLIMITED | CREDENTIALS
    with serving(phones, tmp_path / "log", "http://127.0.0.1:9", files, **limits) as server:
        run(asyncio.wait_for(work(server), 60))
    assert "Too many open files" not in server.log.read_text()


@pytest.mark.parametrize("size", [200_000, 13_000_000])
@pytest.mark.parametrize("path", [b"/start", b"/phone/twilio"])
def test_client_reads_why_its_chunked_body_is_refused(
    server: RunningServer, path: bytes, size: int
) -> None:
    async def work() -> None:
        reader, writer = await hostile.connect(server)
        writer.write(
            b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(size // 50_000):
            writer.write(b"c350\r\n" + b" " * 50_000 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413 ") and b"too_large" in answer
        writer.close()

    run(work())


@pytest.mark.parametrize(
    "part",
    [b"1;" + b"x" * 900 + b"\r\n \r\n", b"0\r\n" + b"X-Trailer: x\r\n" * 9],
    ids=["chunks", "trailers"],
)
def test_endless_framing_of_a_body_is_refused(server: RunningServer, part: bytes) -> None:
    async def work() -> None:
        reader, writer = await hostile.connect(server)
        writer.write(
            b"POST /start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + part
        )
        data = part if part[:1] == b"1" else b"X-Trailer: x\r\n" * 64
        sent = await hostile.write_until_closed(reader, writer, data, limit=10_000_000)
        assert sent < 10_000_000

    run(work())


def test_request_with_200_headers_is_answered_431(server: RunningServer) -> None:
    request = b"GET /config HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n"
    assert asyncio.run(answer_to(server, request)).startswith(b"HTTP/1.1 431 ")


def test_media_message_over_64_kb_ends_the_call(server: RunningServer) -> None:
    async def work() -> None:
        reader, writer = await open_media(server, CALL)
        writer.write(frame(b"", claimed=65_537))
        assert b"\x03\xf1" in await reader.read()  # 1009, message too big
        writer.close()

    run(work())


@pytest.mark.parametrize(
    "message",
    [frame(b"x" * 60_000), frame(b"", 2) * 1000, frame(b"", 1, fin=False), frame(b"x" * 125, PING)],
    ids=["large", "tiny", "fragments", "pings"],
)
def test_media_that_is_not_read_costs_little_memory(server: RunningServer, message: bytes) -> None:
    """The agent is silent; the caller sends without end, and reads nothing."""

    async def work() -> None:
        _, writer = await open_media(server, CALL)
        before = server.peak_megabytes()
        endless = message if message[0] & 0x80 else message + frame(b"", 0, fin=False) * 1000
        sent = 0
        try:
            while sent < 100_000_000:
                writer.write(endless)
                sent += len(endless)
                async with asyncio.timeout(3):
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        writer.transport.abort()
        assert server.peak_megabytes() - before < 20

    run(work())


def test_every_request_counts_but_health_checks(phones: Path, tmp_path: Path) -> None:
    limits = UNLIMITED | {"REQUESTS_PER_MINUTE": "20"}

    async def work(server: RunningServer) -> None:
        async with server.client() as client:
            for path in ("/config", "/nothing", "/openapi.json"):
                statuses: list[int] = []
                for _ in range(25):
                    async with client.get(path) as answer:
                        statuses.append(answer.status)
                        await answer.read()  # the next request uses the same connection
                assert 429 in statuses
            reader, writer = await hostile.connect(server)
            writer.write(handshake("/phone/twilio/media/x"))
            assert b" 429 " in await reader.readline()
            writer.close()
            async with client.get("/health") as answer:
                assert answer.status == 200

    with (
        agentcore() as aws,
        serving(phones, tmp_path / "l", aws.url, **limits, **CREDENTIALS) as server,
    ):
        run(work(server))


def test_client_with_a_connection_for_each_request_is_answered_429(
    phones: Path, tmp_path: Path
) -> None:
    limits = UNLIMITED | CREDENTIALS | {"REQUESTS_PER_MINUTE": "100"}
    closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    async def work(server: RunningServer) -> None:
        answers = [await answer_to(server, closing) for _ in range(700)]
        assert any(answer.startswith(b"HTTP/1.1 429 ") for answer in answers)
        assert b"" in answers

    with serving(phones, tmp_path / "log", "http://127.0.0.1:9", **limits) as server:
        run(work(server))
