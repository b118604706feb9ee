"""Try every way to a TURN relay that the agent has, and write a JSON line about each.

`voicecore turn check` runs it. By hand, in agent/:  python -m internal.turn_check [SOURCE ...]
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

from .relay_failure import FailureKind, RelayFailure, expiry
from .turn import sources
from .turn.source import Environment, NoTurnCredentials, TurnServer, TurnSource
from .turn_relay import allocate, turn_routes


async def main(names: list[str]) -> None:
    """Check the sources of these names; without any, those that are configured."""
    environment = {**os.environ, "TURN_SOURCE": ",".join(names)} if names else dict(os.environ)
    try:
        configured = sources.configured(environment)
    except NoTurnCredentials as error:
        write("", failed("", FailureKind.CONFIGURATION, str(error)))
        return
    sources.warm_up(environment)  # as the agent does
    await asyncio.gather(*(check(source, environment) for source in configured))


async def check(source: TurnSource, environment: Environment) -> None:
    """Try each URL of a source, all at once: a blocked one takes its time."""
    try:
        servers = await source.servers(environment)
    except NoTurnCredentials as error:
        write(source.name, failed("", FailureKind.SOURCE, str(error)))
        return
    attempts = [attempt(url, server) for server in servers for url in server.urls]
    for result in await asyncio.gather(*attempts):
        write(source.name, result)


async def attempt(url: str, server: TurnServer) -> dict[str, Any]:
    """Allocate a relay at `url`, release it, and return the result."""
    if url.startswith("stun"):
        return {"url": url, "unused": "STUN gives no relay"}
    try:
        routes = turn_routes([url], server.username, server.credential, udp=True)
    except ValueError as error:
        return failed(url, FailureKind.CONFIGURATION, str(error))
    if not routes:
        return {"url": url, "unused": "aioice does not support DTLS"}
    started = time.perf_counter()
    try:
        candidate, protocol = await allocate(routes[0], 1, receiver)
    except RelayFailure as error:
        return failed(url, error.kind, str(error).removeprefix(f"{routes[0]}: "))
    seconds = round(time.perf_counter() - started, 4)
    await protocol.close()
    relay = f"{candidate.host}:{candidate.port}"
    return {"url": url, "relay": relay, "seconds": seconds, "expires": expiry(server.username)}


def receiver() -> StunProtocol:
    """Return a receiver for what would arrive at the relay."""
    return StunProtocol(Connection(ice_controlling=False))


def failed(url: str, kind: FailureKind, reason: str) -> dict[str, Any]:
    """Return the result for a URL that gives no relay."""
    return {"url": url, "kind": kind.value, "reason": reason}


def write(source: str, result: dict[str, Any]) -> None:
    """Write one line."""
    print(json.dumps({"source": source, **result}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
