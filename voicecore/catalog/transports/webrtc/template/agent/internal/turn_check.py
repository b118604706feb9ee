"""Tries every way to a TURN relay that the agent has, and writes a JSON line about each.

`voicecore turn check` runs it; so can you, where the agent runs: python turn_check.py [SOURCE …]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from aioice import Connection
from aioice.ice import StunProtocol

from . import turn_sources
from .relay_failure import NoRelay, Reason, expiry
from .turn_relay import allocate, ways


async def main(names: list[str]) -> None:
    """Check the sources of these names; without any, those that are configured."""
    environment = {**os.environ, "TURN_SOURCE": ",".join(names)} if names else dict(os.environ)
    try:
        sources = turn_sources.configured(environment)
    except turn_sources.NoTurn as error:
        write("", failed("", Reason.CONFIGURATION, str(error)))
        return
    turn_sources.warm_up(environment)  # as the agent does
    await asyncio.gather(*(check(source, environment) for source in sources))


async def check(source: turn_sources.Source, environment: turn_sources.Environment) -> None:
    """Try each URL of a source, all at once: a blocked way takes its time."""
    try:
        servers = await source.servers(environment)
    except turn_sources.NoTurn as error:
        write(source.name, failed("", Reason.SOURCE, str(error)))
        return
    tries = [tried(url, server) for server in servers for url in server.urls]
    for result in await asyncio.gather(*tries):
        write(source.name, result)


async def tried(url: str, server: turn_sources.Server) -> dict[str, Any]:
    """Make an allocation at `url`, give it back, and say how it went."""
    if url.startswith("stun"):
        return {"url": url, "unused": "STUN relays nothing"}
    try:
        usable = ways([url], server.username, server.credential, udp=True)
    except ValueError as error:
        return failed(url, Reason.CONFIGURATION, str(error))
    if not usable:
        return {"url": url, "unused": "aioice speaks no DTLS"}
    started = time.perf_counter()
    try:
        candidate, protocol = await allocate(usable[0], 1, receiver)
    except NoRelay as error:
        return failed(url, error.kind, str(error).removeprefix(f"{usable[0]}: "))
    seconds = round(time.perf_counter() - started, 4)
    await protocol.close()
    relay = f"{candidate.host}:{candidate.port}"
    return {"url": url, "relay": relay, "seconds": seconds, "expires": expiry(server.username)}


def receiver() -> StunProtocol:
    """Whoever would hear what comes by the relay."""
    return StunProtocol(Connection(ice_controlling=False))


def failed(url: str, kind: Reason, why: str) -> dict[str, Any]:
    """What is said of a way that leads nowhere."""
    return {"url": url, "kind": kind.value, "reason": why}


def write(source: str, result: dict[str, Any]) -> None:
    """Write one line."""
    print(json.dumps({"source": source, **result}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
