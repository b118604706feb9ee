"""coturn with the settings of docs/turn.md relays to callers, and not into its own network."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import TurnClientUdpProtocol

from voicecore.local.network import coturn

pytestmark = pytest.mark.needs("coturn")

DOCS = Path(__file__).parents[3] / "docs/turn.md"
ADDRESS = "127.0.0.77"  # an address of its own, so that no other test uses the port
PRIVATE = "10.0.0.77"  # stands for the server's address behind a NAT; nothing is sent to it
SECRET = "a-secret-of-this-test"
FORBIDDEN = 403  # RFC 8656, section 9.2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("coturn")
    (block,) = re.findall(r"```text\n(use-auth-secret.*?)```", DOCS.read_text(), re.DOTALL)
    settings = block.replace("<COTURN_SECRET>", SECRET)
    settings = settings.replace("<THIS SERVER'S PRIVATE ADDRESS>", PRIVATE)
    assert "<" not in settings
    lines = [*coturn.base_config(ADDRESS, folder), "no-tls", *settings.splitlines()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(coturn.write_config(lines, folder), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not coturn.answers_stun(ADDRESS, 0.1):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
        yield
    finally:
        process.kill()
        process.wait()


async def error_of_relaying_to(peer: str) -> int:
    """Ask for a relay to `peer`; return the server's error code, 0 for none."""
    username = str(int(time.time()) + 60)
    digest = hmac.digest(SECRET.encode(), username.encode(), hashlib.sha1)
    _, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(
            (ADDRESS, coturn.PORT),
            username=username,
            password=base64.b64encode(digest).decode(),
            lifetime=600,
            channel_refresh_time=500,
        ),
        remote_addr=(ADDRESS, coturn.PORT),
    )
    await client.connect()
    try:
        await client.channel_bind(0x4000, (peer, 4000))
    except TransactionFailed as error:
        return int(error.response.attributes["ERROR-CODE"][0])
    finally:
        await client.delete()
    return 0


@pytest.mark.parametrize(
    "peer",
    [
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
    ],
)
def test_relays_to_no_internal_address(server: None, peer: str) -> None:
    assert asyncio.run(error_of_relaying_to(peer)) == FORBIDDEN


@pytest.mark.parametrize("peer", ["203.0.113.5", PRIVATE])
def test_relays_to_callers(server: None, peer: str) -> None:
    assert asyncio.run(error_of_relaying_to(peer)) == 0
