"""Owns hostile requests: any number of them, always the same for a seed."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import socket
import string
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import yarl

from tests.server.serving import AUTHORIZED, RunningServer, start

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND")
PATHS = (
    "/../server.py", "/%2e%2e/.env", "/assets/..%2f..%2f.env", "/assets/%00", "//start", "/start/",
    "/sessions/../start", "/sessions/%2e%2e/api/offer", "/.env", "/server.py", "/%ff%fe",
    "/sessions/" + "a" * 5000, "/metrics", "/docs", "/openapi.json/..", "/start?" + "x=1&" * 500,
)  # fmt: skip
TEXTS = ("", "v=0", "\x00", "'; DROP TABLE sessions; --", "${jndi:ldap://x}", "💥" * 99, "\ud800")


@dataclass
class Outcome:
    """Statuses of all answers, and the answers that must not happen."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class HostileRequest:
    """One HTTP request, sent as it is."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


async def attack(server: RunningServer, count: int, seed: int = 1, at_once: int = 16) -> Outcome:
    """Send `count` requests, and return how they were answered."""
    chance, outcome = random.Random(seed), Outcome()
    async with server.client() as client:
        mine = await start(client)
        yours = await start(client)
        requests = [_request(chance, mine, yours) for _ in range(count)]
        queue = iter(requests)

        async def send_some() -> None:
            for request in queue:
                await _send(client, server.url, request, outcome)

        await asyncio.gather(*(send_some() for _ in range(at_once)))
        for path, token in (mine, yours):  # no request may end another's session
            async with client.get(path, headers=token) as answer:
                if answer.status != 200:
                    outcome.faults.append(f"a session is gone: {answer.status}")
    return outcome


async def _send(
    client: aiohttp.ClientSession, server: str, request: HostileRequest, outcome: Outcome
) -> None:
    # Encoded, so that aiohttp does not normalize the path.
    url = yarl.URL(server + request.path, encoded=True)
    body = io.BytesIO(request.body) if request.body else None  # aiohttp warns of long bytes
    try:
        async with client.request(
            request.method, url, headers=request.headers, data=body
        ) as answer:
            text = await answer.text(errors="replace")
    except (aiohttp.ClientError, ConnectionError):
        outcome.statuses[0] += 1  # the server closes the connection on a body that is too large
        return
    outcome.statuses[answer.status] += 1
    opened = answer.status == 200 and request.path.startswith("/sessions/")
    leak = "Traceback" in text or AUTHORIZED["Authorization"][7:] in text
    if answer.status >= 500 or leak or opened:
        outcome.faults.append(f"{answer.status} {text[:200]} to {request!r:.300}")


def _request(
    chance: random.Random, mine: tuple[str, dict[str, str]], yours: tuple[str, dict[str, str]]
) -> HostileRequest:
    kinds: list[Callable[[], HostileRequest]] = [
        lambda: HostileRequest("POST", "/start", _who(chance), _bad_json(chance)),
        lambda: HostileRequest("POST", "/start", AUTHORIZED | JSON, _bad_json(chance)),
        lambda: HostileRequest("POST", f"{mine[0]}/api/offer", mine[1] | JSON, _bad_json(chance)),
        lambda: HostileRequest("PATCH", f"{mine[0]}/api/offer", mine[1] | JSON, _bad_json(chance)),
        lambda: HostileRequest(chance.choice(METHODS), chance.choice(PATHS), _who(chance), b""),
        lambda: HostileRequest("DELETE", mine[0], _forged(chance, mine[1]), b""),
        lambda: HostileRequest("GET", mine[0], yours[1], b""),
        lambda: HostileRequest("POST", f"{mine[0]}/api/offer", yours[1] | JSON, b'{"sdp": "v=0"}'),
    ]
    if chance.random() < 0.01:
        body = b"[" + b"0," * 5_000_000 + b"0]"
        return HostileRequest("POST", "/start", AUTHORIZED | JSON, body)
    return chance.choice(kinds)()


JSON = {"Content-Type": "application/json"}


def _who(chance: random.Random) -> dict[str, str]:
    random_text = "".join(chance.choices(string.printable[:94], k=40))
    return {
        "Authorization": chance.choice(
            [
                "Bearer",
                "Bearer " + random_text,
                "Bearer invite.99999999999." + "A" * 22,
                "Bearer invite." + "9" * 4000 + ".A",
                "Bearer a.b.c",
                "Basic " + base64.b64encode(random_text.encode()).decode(),
                "Bearer \xff\xfe",
            ]
        )
    }


def _forged(chance: random.Random, token: dict[str, str]) -> dict[str, str]:
    """Return a token that is almost valid, unsigned, or cut."""
    good = token["X-Session-Token"]
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    place = chance.randrange(len(signature) - 2)
    other = "A" if signature[place] != "A" else "B"
    return {
        "X-Session-Token": chance.choice(
            [
                f"{none}.{body}.",
                f"{head}.{body}.{signature[:place]}{other}{signature[place + 1 :]}",
                f"{head}.{body}",
                "",
                "." * 50,
                good[::-1],
            ]
        )
    }


def _bad_json(chance: random.Random) -> bytes:
    text = chance.choice(TEXTS)
    return chance.choice(
        [
            b"{",
            b"\xff\xfe\x00",
            b"[" * 60_000,
            b'{"a":' * 20_000,
            b"9" * 5000,
            b"NaN",
            json.dumps({"transport": text, "sessionId": text, "token": text}).encode(),
            json.dumps({"transport": {}, "token": [1, 2]}).encode(),
            json.dumps({text or "x": text}).encode(),
            json.dumps({"sdp": text, "type": text, "pc_id": text}).encode(),
            json.dumps({"sdp": "v=0" + "a" * 100_000}).encode(),
            json.dumps({"pc_id": "x", "candidates": [{"candidate": text}] * 1000}).encode(),
            json.dumps({"pc_id": "x", "candidates": text}).encode(),
            json.dumps({"pc_id": 10**400, "candidates": [1e308]}).encode(),
        ]
    )


async def endless_head(server: RunningServer, limit: int = 10_000_000) -> int:
    """Send an endless request head; return the bytes sent when the server closes."""
    reader, writer = await connect(server)
    writer.write(b"GET /health HTTP/1.1\r\n")
    sent = await write_until_closed(reader, writer, b"X-Filler: " + b"a" * 1000 + b"\r\n", limit)
    writer.close()
    return sent


async def write_until_closed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, limit: int
) -> int:
    """Repeat `data` until the server closes, or `limit` is sent; return the bytes sent."""
    sent = 0
    with suppress(ConnectionError):
        while sent < limit and not reader.at_eof():
            writer.write(data)
            await writer.drain()
            sent += len(data)
            await asyncio.sleep(0)
    return sent


async def slow_request(server: RunningServer, head: bytes, drip: bytes) -> bytes:
    """Send a byte every 0.5 s (slowloris) until the server closes; return its answer."""
    reader, writer = await connect(server)
    writer.write(head)

    async def drip_on() -> None:
        while True:
            writer.write(drip)
            await writer.drain()
            await asyncio.sleep(0.5)

    dripping = asyncio.create_task(drip_on())
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        dripping.cancel()
        writer.close()


async def connect(server: RunningServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(server.url)
    return await asyncio.open_connection(url.hostname, url.port, family=socket.AF_INET)
