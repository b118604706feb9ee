"""Owns the session table: open sessions, what has been used up or revoked, counts of requests.

It is in memory, or in DynamoDB or Redis, which several copies of the server share.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import Any, Protocol

from .access import INVITE_DAYS_MAX, INVITED, SESSION_SECONDS, Session
from .networks import MINUTE

# A WebSocket lasts an hour, and its URL can be used for 300 s; each /start renews the lease.
LEASE_SECONDS = 3900
# The time from a WebRTC caller's /start to the answer to the offer.
SHORT_LEASE_SECONDS = 120


class Table(Protocol):
    """The operations of all tables."""

    errors: tuple[type[Exception], ...] = ()
    """Exceptions that mean that the table cannot be reached; AWS's are known without."""

    async def requests(self, name: str) -> int:
        """Count a request under this name; return the count of this minute."""
        ...

    async def hold(self, session: Session, most: int, seconds: int = LEASE_SECONDS) -> bool:
        """Count the session as open for this time at least; False if its caller has `most` others.

        Only a lease that has run out can be refused.
        """
        ...

    async def release(self, session: Session) -> None:
        """Count the session as open no longer."""
        ...

    async def open_until(self, caller: str) -> dict[str, float]:
        """Return until when (Unix time) each open session of this caller counts, by its ID."""
        ...

    async def once(self, name: str, seconds: int) -> bool:
        """Return True for the first use of this name within this time."""
        ...

    async def is_used(self, name: str) -> bool:
        """Return True within the time of the first use of this name."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


async def end(table: Table, session: Session) -> None:
    """Record that the session has ended, which invalidates its token."""
    seconds = session.since + SESSION_SECONDS + 1 - int(time.time())
    await table.once(f"ended-{session.id}", max(1, seconds))


async def has_ended(table: Table, session: Session) -> bool:
    """Return True if the session has ended."""
    return await table.is_used(f"ended-{session.id}")


async def revoke(table: Table, invite_id: str) -> str:
    """Refuse this invite, and the sessions that were started with it, from now on.

    Returns the name of its caller.
    """
    caller = f"{INVITED}{invite_id}"
    await table.once(f"revoked-{caller}", INVITE_DAYS_MAX * 86_400)
    return caller


async def is_revoked(table: Table, caller: str) -> bool:
    """Return True if the caller has an invite that was revoked."""
    return caller.startswith(INVITED) and await table.is_used(f"revoked-{caller}")


class MemoryTable(Table):
    """The table of a single server."""

    errors: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self._minute = 0
        self._requests: Counter[str] = Counter()
        self._open: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._used: dict[str, float] = {}

    async def requests(self, name: str) -> int:
        minute = int(time.time()) // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._requests.clear()
            self._expire(time.time())
        self._requests[name] += 1
        return self._requests[name]

    async def hold(self, session: Session, most: int, seconds: int = LEASE_SECONDS) -> bool:
        sessions, now = self._open[session.caller], time.time()
        if sessions.get(session.id, 0) < now and len(sessions) >= most:
            for id in [id for id, until in sessions.items() if until < now]:
                del sessions[id]
            if len(sessions) >= most:
                return False
        sessions[session.id] = max(sessions.get(session.id, 0), now + seconds)
        return True

    async def release(self, session: Session) -> None:
        self._open[session.caller].pop(session.id, None)

    async def open_until(self, caller: str) -> dict[str, float]:
        now, sessions = time.time(), self._open.get(caller, {})
        return {id: until for id, until in sessions.items() if until >= now}

    async def once(self, name: str, seconds: int) -> bool:
        if await self.is_used(name):
            return False
        self._used[name] = time.time() + seconds
        return True

    async def is_used(self, name: str) -> bool:
        return self._used.get(name, 0) > time.time()

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _expire(self, now: float) -> None:
        self._used = {name: until for name, until in self._used.items() if until >= now}
        for caller, sessions in list(self._open.items()):
            if not any(until >= now for until in sessions.values()):
                del self._open[caller]


class RedisTable(Table):
    """The table of all servers that use the same Redis."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        self.errors: tuple[type[Exception], ...] = (RedisError,)
        # A Redis that hangs must not block calls; a lost connection is made again.
        self._redis = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)

    async def requests(self, name: str) -> int:
        key = f"voicecore:requests:{int(time.time()) // MINUTE}:{name}"
        async with self._redis.pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, 2 * MINUTE)
            return (await pipe.execute())[0]

    async def hold(self, session: Session, most: int, seconds: int = LEASE_SECONDS) -> bool:
        key, now = f"voicecore:running:{session.caller}", time.time()
        async with self._redis.pipeline() as pipe:
            pipe.zremrangebyscore(key, 0, now)
            pipe.zadd(key, {session.id: now + seconds}, gt=True)
            pipe.zcard(key)
            pipe.expire(key, LEASE_SECONDS)
            _, added, count, _ = await pipe.execute()
        if added and count > most:
            await self._redis.zrem(key, session.id)
            return False
        return True

    async def release(self, session: Session) -> None:
        await self._redis.zrem(f"voicecore:running:{session.caller}", session.id)

    async def open_until(self, caller: str) -> dict[str, float]:
        key, now = f"voicecore:running:{caller}", time.time()
        found: Any = await self._redis.zrangebyscore(key, now, "+inf", withscores=True)
        return {id.decode(): until for id, until in found}

    async def once(self, name: str, seconds: int) -> bool:
        return bool(await self._redis.set(f"voicecore:once:{name}", 1, ex=seconds, nx=True))

    async def is_used(self, name: str) -> bool:
        return bool(await self._redis.exists(f"voicecore:once:{name}"))

    async def close(self) -> None:
        await self._redis.aclose()


def table_of(store: str, region: str) -> Table:
    """Return the table for a value of SESSION_STORE."""
    if store == "memory":
        return MemoryTable()
    if store.startswith("dynamodb://"):
        from .dynamodb_table import DynamoTable

        return DynamoTable(store.removeprefix("dynamodb://"), region)
    return RedisTable(store)
