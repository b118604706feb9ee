"""HTTP with a registry: how long to wait, and what is closed at the end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault
from tests.unit.image.repositories import BLOB, DIGEST, SHORT_PAUSES, anonymous, content
from voicecore.image.registry.client import Repository
from voicecore.image.registry.connection import RegistryConnection, Upload, body_of
from voicecore.image.registry.errors import BlobCorrupt, RegistryUnreachable
from voicecore.image.registry.http import RegistryAnswer, TransientError
from voicecore.image.registry.reference import Reference

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
                await connection.wait(TransientError("busy", retry_after=0.05), pause=0.0)
                return asyncio.get_running_loop().time() - began

    assert asyncio.run(work()) >= 0.05


async def silent_registry(ask: Callable[[RegistryConnection], Awaitable[object]]) -> None:
    """Ask a registry that accepts a connection and says nothing more after its first answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == TLS:
            writer.close()
            return
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reference = Reference(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "agent")
        async with RegistryConnection(reference, anonymous, "pull", (), 0.05) as connection:
            await ask(connection)


def test_registry_that_does_not_answer_is_not_waited_for() -> None:
    async def ask(connection: RegistryConnection) -> object:
        return await connection.request("GET", f"{connection.root}agent/tags/list", {200})

    with pytest.raises(TransientError, match="did not answer in time"):
        asyncio.run(silent_registry(ask))


def test_upload_that_does_not_move_is_not_waited_for() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.get_running_loop().create_future()

    async def ask(connection: RegistryConnection) -> object:
        upload, place = Upload(stuck, 2, lambda _: None), f"{connection.root}agent/blobs/uploads/1"
        return await connection.request("PUT", place, {201}, {"Content-Length": "2"}, upload)

    with pytest.raises(TransientError, match="did not answer in time"):
        asyncio.run(silent_registry(ask))


def test_each_chunk_extends_the_time_of_an_upload() -> None:
    async def work() -> None:
        sent: list[int] = []
        async with asyncio.timeout(5) as limit:
            first = limit.when() or 0
            async for _ in body_of(Upload(content, len(BLOB), sent.append), limit, seconds=60):
                assert (limit.when() or 0) >= first + (50 if sent else 0)
        assert sent[-1] == len(BLOB)

    asyncio.run(work())


# ---- what is closed


def left_open(work: Callable[[], Awaitable[object]]) -> list[str]:
    """Return what aiohttp finds open after `work`; a loop in debug mode looks for it."""
    found: list[str] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: found.append(context["message"]))
        await work()
        gc.collect()

    asyncio.run(watched(), debug=True)
    return found


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_session_is_closed_when_no_registry_answers() -> None:
    async def work() -> None:
        with pytest.raises(RegistryUnreachable):
            async with Repository(Reference("127.0.0.1:1", "agent"), anonymous):
                pass

    assert left_open(work) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_session_and_responses_are_closed_after_a_broken_download(tmp_path: Path) -> None:
    registry = FakeRegistry()
    registry.add("agent", BLOB)

    async def work() -> None:
        async with registry.serving():
            reference = Reference(registry.host, "agent")
            async with Repository(reference, anonymous, "pull", SHORT_PAUSES) as repository:
                with pytest.raises(BlobCorrupt):
                    await repository.download(DIGEST, 1000, tmp_path / "blob", lambda _: None)

    assert left_open(work) == []
