"""Whatever frames a caller's provider sends, the server ends the call or forwards them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.rounds import rounds
from tests.server.hostile import connect
from tests.server.media import (
    ACCOUNT,
    CREDENTIALS,
    frame,
    handshake,
    media_path,
    start,
)
from tests.server.serving import UNLIMITED, RunningServer, make_server, serving
from tests.standins.server.agentcore import agentcore

pytestmark = pytest.mark.slow

AT_ONCE = 20
VALUES = (
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "x",
    "audio/x-mulaw",
    "=" * 9,
    "A" * 4000,
    [],
    {},
    ACCOUNT,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    folder = make_server(tmp_path, ("telephony",), ("twilio",))
    with (
        agentcore() as aws,
        serving(folder, tmp_path / "log", aws.url, **UNLIMITED, **CREDENTIALS) as server,
    ):
        yield server


def test_frames(server: RunningServer) -> None:
    megabytes, calls = 0.0, 0
    for seed, random in rounds():
        heard = asyncio.run(attack(server, random, calls))
        assert all(answer.startswith(b"HTTP/1.1 101 ") for answer in heard), (seed, heard)
        calls += AT_ONCE
        while server.log.read_text().count('"call_ended"') < calls:
            time.sleep(0.05)
        megabytes = megabytes or server.megabytes()
    assert server.megabytes() - megabytes < 40
    server.await_no_connections()
    written = server.log.read_text()
    assert "Traceback" not in written and "uvicorn" not in written


async def attack(server: RunningServer, random: Random, first: int) -> list[bytes]:
    """Hold calls at once; return how their handshakes were answered."""
    names = [f"CA{first + number:032}" for number in range(AT_ONCE)]
    return await asyncio.gather(*(call(server, random, name) for name in names))


async def call(server: RunningServer, random: Random, name: str) -> bytes:
    """Open a media socket, send frames, and close it; return what the server sent."""
    reader, writer = await connect(server)
    writer.write(handshake(media_path(name)))
    received = await reader.readuntil(b"\r\n\r\n")
    try:
        if random.random() < 0.9:
            writer.write(start(name))
        # Half of the calls get past the protocol of WebSockets, to what reads the messages.
        sent = random.choice((lambda: damaged(random, a_frame(random)), lambda: message(random)))
        for _ in range(random.randrange(30)):
            writer.write(sent())
            await asyncio.sleep(0)
        async with asyncio.timeout(random.choice((0, 0.2))):
            while await reader.read(65_536):
                pass
    except (ConnectionError, TimeoutError):
        pass
    writer.transport.abort()
    return received


def message(random: Random) -> bytes:
    return frame(document(random))


def a_frame(random: Random) -> bytes:
    opcode = random.choice((1, 1, 1, 1, 0, 2, 8, 9, 10, 3, 11, 15))
    data = random.choice(
        (document, lambda r: r.randbytes(r.randrange(300)), lambda _: b"x" * 65_536)
    )
    claimed = random.choice((None, None, None, 0, 65_537, 2**63))
    return frame(data(random), opcode, fin=random.random() < 0.9, claimed=claimed)


def document(random: Random) -> bytes:
    """Return a message of Twilio in which some values are not as they should be."""

    def value(usual: object) -> object:
        return random.choice(VALUES) if random.random() < 0.3 else usual

    event = value(random.choice(("connected", "start", "media", "mark", "dtmf", "stop")))
    message = {
        "event": event,
        "media": value({"payload": value("f39/" * 40), "chunk": value("1")}),
        "mark": value({"name": value("goodbye")}),
        "dtmf": value({"digit": value("1")}),
        "streamSid": value("MZ1"),
    }
    if random.random() < 0.05:
        return b"[" * 30_000
    return json.dumps(message).encode()


def damaged(random: Random, data: bytes) -> bytes:
    if random.random() < 0.9:
        return data
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(random.randrange(9)) + data[at + random.randrange(9) :]
