"""A stranger's requests and upgrades, however malformed, are refused and leave nothing behind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.rounds import rounds
from tests.server.hostile import connect
from tests.server.media import CREDENTIALS, handshake, media_path
from tests.server.serving import UNLIMITED, RunningServer, make_server, serving
from tests.standins.server.agentcore import agentcore

pytestmark = pytest.mark.slow

AT_ONCE = 40
LINES = (
    b"Host: x", b"Connection: close", b"Connection: keep-alive, Upgrade", b"Upgrade: h2c",
    b"Upgrade: websocket", b"Content-Length: 5", b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Expect: 100-continue",
    b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Version: 12", b"Sec-WebSocket-Protocol: ,,",
    b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99", b"\xff: \xff",
    b"X: " + b"x" * 8300, b"A:b\r\n" * 200 + b"A: b", b"X: " + b"x" * 70_000,
    b" folded", b"Authorization: Bearer " + b"x" * 5000, b"Content-Type: application/json",
)  # fmt: skip
STARTS = (
    b"GET /config HTTP/1.1", b"GET /health HTTP/1.0", b"POST /start HTTP/1.1", b"PRI * HTTP/2.0",
    b"GET /phone/twilio/media/x HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET //[ HTTP/1.1",
    b"POST /phone/twilio HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /" + b"%00" * 3000 + b" HTTP/1.1",
)  # fmt: skip
BODIES = (
    b"", b"{}", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"1;" + b"x" * 70_000,
    b"0\r\nHost: y\r\n\r\n", b"\x81\x80\0\0\0\0", b"0\r\n" + b"A: b\r\n" * 20_000, b" " * 300_000,
)  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    folder = make_server(tmp_path, ("websocket", "telephony"), ("twilio",))
    with (
        agentcore() as aws,
        serving(folder, tmp_path / "log", aws.url, **UNLIMITED, **CREDENTIALS) as server,
    ):
        yield server


def test_upgrades(server: RunningServer) -> None:
    asyncio.run(attack(server))
    server.await_no_connections()
    written = server.log.read_text()
    assert "Traceback" not in written and '"level": "ERROR"' not in written


async def attack(server: RunningServer) -> None:
    megabytes = 0.0
    for seed, random in rounds():
        requests = [request(random) for _ in range(AT_ONCE)]
        answers = await asyncio.gather(*(send(server, random, request) for request in requests))
        for sent, answer in zip(requests, answers, strict=True):
            statuses = {int(found) for found in re.findall(rb"HTTP/1.1 (\d{3})", answer)}
            assert all(status < 500 for status in statuses), (seed, sent[:300], answer[:300])
        megabytes = megabytes or server.megabytes()
    async with server.client() as client, client.get("/health") as answer:
        assert answer.status == 200
    assert server.megabytes() - megabytes < 40


def request(random: Random) -> bytes:
    """Return one or several requests, which are almost valid or not at all."""
    whole = b""
    for _ in range(random.choice((1, 1, 1, 2, 20))):
        if random.random() < 0.3:
            part = handshake(random.choice((media_path(), "/phone/twilio/media/x", "/start")))
        else:
            lines = [random.choice(STARTS), *random.choices(LINES, k=random.randrange(6))]
            part = b"".join(line + b"\r\n" for line in lines) + b"\r\n"
        whole += part + random.choice(BODIES)
    for _ in range(random.choice((0, 0, 1, 5))):
        at = random.randrange(len(whole))
        piece = random.choice((b"", b"\0", b"\r", b"\n", b"\r\n\r\n", random.randbytes(9)))
        whole = whole[:at] + piece + whole[at + random.choice((0, 1, 9)) :]
    return whole


async def send(server: RunningServer, random: Random, data: bytes) -> bytes:
    """Send the data in a few pieces; return what the server answers within a moment."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(4)))
    received = b""
    reader, writer = await connect(server)
    try:
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            writer.write(data[start:end])
            await asyncio.sleep(0)
        if random.random() < 0.3:
            writer.write_eof()
        async with asyncio.timeout(0.2):
            while chunk := await reader.read(65_536):
                received += chunk
    except (OSError, TimeoutError):
        pass
    writer.transport.abort()
    return received
