"""HTTP with a registry: who gets the login, how long to wait, and what is closed at the end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from yarl import URL

from tests.standins import simulated_time
from tests.standins.image.in_process_registry import FakeRegistry, Fault
from tests.unit.image.repositories import (
    BLOB,
    DIGEST,
    SHORT_PAUSES,
    anonymous,
    content,
    ignore,
    with_repository,
)
from voicecore.image.registry.client import Repository
from voicecore.image.registry.connection import RegistryConnection, Upload
from voicecore.image.registry.errors import BlobCorrupt, RegistryUnreachable
from voicecore.image.registry.http import (
    BODY_MAX,
    CHUNK,
    RegistryAnswer,
    TransientError,
    has_origin,
)
from voicecore.image.registry.manifests import OCI_MANIFEST
from voicecore.image.registry.reference import Reference

# ---- whose login it is


def test_login_is_for_one_origin() -> None:
    origin = URL("https://registry.example:5000/v2/")
    assert has_origin(URL("https://registry.example:5000/token"), origin)
    for other in ("http://registry.example:5000", "https://registry.example", "https://x:5000"):
        assert not has_origin(URL(other), origin)


TLS = b"\x16"
"""First byte of a TLS handshake, which is tried before HTTP."""

# ---- how long to wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 0), ({"Retry-After": "7"}, 7), ({"Retry-After": "3600"}, 30), ({"Retry-After": "x"}, 0)],
)
def test_registry_may_ask_to_wait_up_to_30_s(headers: Mapping[str, str], seconds: float) -> None:
    assert RegistryAnswer(503, headers, "busy", b"", ()).retry_after == seconds


def test_wait_lasts_as_long_as_the_registry_asks() -> None:
    registry = FakeRegistry(
        faults=[Fault("GET", "/tags/", status=503, headers={"Retry-After": "7"})]
    )

    async def work() -> float:
        async with registry.serving():
            reference = Reference(registry.host, "agent")
            async with RegistryConnection(reference, anonymous, "pull", ()) as connection:
                with pytest.raises(TransientError) as busy:
                    await connection.request("GET", f"{connection.root}agent/tags/list", {200})
                assert busy.value.retry_after == 7
                began = asyncio.get_running_loop().time()
                await connection.wait(busy.value, pause=0.5)
                return asyncio.get_running_loop().time() - began

    assert simulated_time.run(work()) == pytest.approx(7, abs=1)


async def silent_registry(ask: Callable[[RegistryConnection], Awaitable[object]]) -> float:
    """Ask a registry that says nothing after its first answer; return how long that takes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) != TLS:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reference = Reference(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "agent")
        async with RegistryConnection(reference, anonymous, "pull", ()) as connection:
            began = asyncio.get_running_loop().time()
            with pytest.raises(TransientError, match="did not answer in time"):
                await ask(connection)
            seconds = asyncio.get_running_loop().time() - began
        await asyncio.sleep(1)  # the registry notices the end
        return seconds


def test_registry_that_does_not_answer_is_waited_for_a_minute() -> None:
    async def ask(connection: RegistryConnection) -> object:
        return await connection.request("GET", f"{connection.root}agent/tags/list", {200})

    assert simulated_time.run(silent_registry(ask)) == pytest.approx(60, abs=5)


def test_upload_that_does_not_move_is_waited_for_a_minute() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        await asyncio.get_running_loop().create_future()
        yield b"x"

    async def ask(connection: RegistryConnection) -> object:
        upload, place = Upload(stuck, 1, lambda _: None), f"{connection.root}agent/blobs/uploads/1"
        return await connection.request("PUT", place, {201}, {"Content-Length": "1"}, upload)

    assert simulated_time.run(silent_registry(ask)) == pytest.approx(60, abs=5)


def test_upload_that_moves_may_take_longer() -> None:
    registry = FakeRegistry()

    async def slow() -> AsyncIterator[bytes]:
        async for piece in content():
            await asyncio.sleep(40)
            yield piece

    async def work() -> int:
        async with registry.serving():
            reference = Reference(registry.host, "agent")
            async with Repository(reference, anonymous, "pull,push", ()) as repository:
                return await repository.push(DIGEST, len(BLOB), slow, ignore, "blob")

    assert simulated_time.run(work()) == len(BLOB)


def test_of_an_answer_without_end_no_more_than_the_limit_is_read() -> None:
    registry = FakeRegistry(manifests={"agent/t": (OCI_MANIFEST, bytes(2 * BODY_MAX))})

    async def work(repository: Repository) -> int:
        return len((await repository.manifest("t")).raw)

    assert BODY_MAX < with_repository(registry, work) <= BODY_MAX + CHUNK


# ---- what is closed


def left_open(work: Callable[[], Awaitable[object]]) -> list[str]:
    """Return what aiohttp finds open after `work`; a loop in debug mode looks for it."""
    found: list[str] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: found.append(context["message"]))
        await work()

    asyncio.run(watched(), debug=True)
    gc.collect()
    return found


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_session_is_closed_when_no_registry_answers() -> None:
    async def work() -> None:
        with pytest.raises(RegistryUnreachable):
            async with Repository(Reference("127.0.0.1:1", "agent"), anonymous):
                pass

    assert left_open(work) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_session_and_unread_responses_are_closed(tmp_path: Path) -> None:
    registry = FakeRegistry(manifests={"agent/t": (OCI_MANIFEST, bytes(4 * BODY_MAX))})
    registry.add("agent", BLOB)

    async def work() -> None:
        async with registry.serving():
            reference = Reference(registry.host, "agent")
            async with Repository(reference, anonymous, "pull", SHORT_PAUSES) as repository:
                with pytest.raises(BlobCorrupt):
                    await repository.download(DIGEST, 1000, tmp_path / "blob", lambda _: None)
                await repository.manifest("t")

    assert left_open(work) == []
