"""A session takes one place, as long as it may last; its end is remembered as long as its token."""

from __future__ import annotations

import asyncio
import time

from ..access import SESSION_SECONDS, Session
from ..session_table import LEASE_SECONDS, SHORT_LEASE_SECONDS, MemoryTable, end, has_ended


def session(id: str, age: int = 0) -> Session:
    return Session(id, "key", "", int(time.time()) - age)


def test_resumed_session_takes_no_second_place() -> None:
    async def held() -> list[bool]:
        table = MemoryTable()
        return [await table.hold(session(id), 1) for id in ("mine", "mine", "another")]

    assert asyncio.run(held()) == [True, True, False]


def test_short_lease_does_not_shorten_a_long_one() -> None:
    async def seconds() -> float:
        table = MemoryTable()
        await table.hold(session("mine"), 1, LEASE_SECONDS)
        await table.hold(session("mine"), 1, SHORT_LEASE_SECONDS)
        return (await table.open_until("key"))["mine"] - time.time()

    assert asyncio.run(seconds()) > LEASE_SECONDS - 60


def test_end_is_remembered_as_long_as_the_token_is_valid() -> None:
    asked: list[int] = []

    class Table(MemoryTable):
        async def once(self, name: str, seconds: int) -> bool:
            asked.append(seconds)
            return await super().once(name, seconds)

    async def work() -> None:
        table = Table()
        for age in (0, SESSION_SECONDS + 60):
            await end(table, session(f"{age}", age))
            assert await has_ended(table, session(f"{age}"))
        assert not await has_ended(table, session("another"))

    asyncio.run(work())
    assert asked[0] > SESSION_SECONDS - 60 and asked[1] == 1


def test_valid_entries_outlast_the_minute() -> None:
    async def work() -> None:
        table = MemoryTable()
        await table.hold(session("mine"), 1)
        await table.hold(Session("over", "another", "", 0), 1, -1)
        await table.once("a name", 60)
        await table.once("a name of before", -1)
        await table.requests("anything")  # the first one of a minute forgets what is over
        assert await table.is_used("a name") and not await table.is_used("a name of before")
        assert await table.open_until("key") and not await table.open_until("another")
        assert "another" not in vars(table)["_open"]  # it takes no memory

    asyncio.run(work())
