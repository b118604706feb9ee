"""The session table: whose sessions run, which have ended, and who asked how often.

It is in memory, or in Redis for several copies of the server. Without it, only limits are lost: a
session's token is all that it takes to go on.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Protocol

from access import SESSION_SECONDS, Session

MINUTE = 60
# Who has not come back for so long is gone: a WebSocket lasts an hour. Each /start renews it.
LEASE_SECONDS = 3600


class Table(Protocol):
    """What both tables can do."""

    async def requests(self, name: str) -> int:
        """Of this minute, by this name; this one counts."""
        ...

    async def hold(self, session: Session, most: int) -> bool:
        """Note the session as running, for LEASE_SECONDS; not if its caller had `most` others."""
        ...

    async def end(self, session: Session) -> None:
        """Note that it has ended: its token opens nothing any more."""
        ...

    async def has_ended(self, session: Session) -> bool:
        """Whether it was ended."""
        ...

    async def close(self) -> None:
        """Let go of what the table holds."""
        ...


class Memory:
    """The table of a server that is the only one."""

    def __init__(self) -> None:
        self._minute = 0
        self._requests: Counter[str] = Counter()
        self._running: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._ended: dict[str, float] = {}

    async def requests(self, name: str) -> int:
        minute = int(time.time()) // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._requests.clear()
            self._forget(time.time())
        self._requests[name] += 1
        return self._requests[name]

    async def hold(self, session: Session, most: int) -> bool:
        running, now = self._running[session.caller], time.time()
        if session.id not in running and len(running) >= most:
            for id in [id for id, until in running.items() if until < now]:
                del running[id]
            if len(running) >= most:
                return False
        running[session.id] = now + LEASE_SECONDS
        return True

    async def end(self, session: Session) -> None:
        self._running[session.caller].pop(session.id, None)
        self._ended[session.id] = session.since + SESSION_SECONDS

    async def has_ended(self, session: Session) -> bool:
        return session.id in self._ended

    async def close(self) -> None:
        """Nothing is held."""

    def _forget(self, now: float) -> None:
        for id in [id for id, until in self._ended.items() if until < now]:
            del self._ended[id]
        for caller, running in list(self._running.items()):
            if not any(until >= now for until in running.values()):
                del self._running[caller]


class Redis:
    """The table of all servers that have the same Redis."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis as Client

        # A Redis that hangs must not hang calls; one lost connection is made again.
        self._redis = Client.from_url(url, socket_timeout=2, socket_connect_timeout=2)

    async def requests(self, name: str) -> int:
        key = f"voicecore:requests:{int(time.time()) // MINUTE}:{name}"
        async with self._redis.pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, 2 * MINUTE)
            return (await pipe.execute())[0]

    async def hold(self, session: Session, most: int) -> bool:
        key, now = f"voicecore:running:{session.caller}", time.time()
        async with self._redis.pipeline() as pipe:
            pipe.zremrangebyscore(key, 0, now)
            pipe.zadd(key, {session.id: now + LEASE_SECONDS})
            pipe.zcard(key)
            pipe.expire(key, LEASE_SECONDS)
            _, added, running, _ = await pipe.execute()
        if added and running > most:
            await self._redis.zrem(key, session.id)
            return False
        return True

    async def end(self, session: Session) -> None:
        until = session.since + SESSION_SECONDS + 1
        async with self._redis.pipeline() as pipe:
            pipe.zrem(f"voicecore:running:{session.caller}", session.id)
            pipe.set(f"voicecore:ended:{session.id}", 1, exat=until)
            await pipe.execute()

    async def has_ended(self, session: Session) -> bool:
        return bool(await self._redis.exists(f"voicecore:ended:{session.id}"))

    async def close(self) -> None:
        await self._redis.aclose()


def table_of(store: str) -> Table:
    """The table that SESSION_STORE names."""
    return Memory() if store == "memory" else Redis(store)
