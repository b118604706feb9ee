"""A repository of the in-process registry, and a blob to push."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.standins.image.in_process_registry import FakeRegistry, digest_of
from voicecore.console.progress import Progress
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import LoginSource
from voicecore.image.registry.reference import Reference

BLOB = bytes(range(256)) * 4096
DIGEST = digest_of(BLOB)
SHORT_PAUSES = (0.01, 0.01, 0.01)
ECR = Reference("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "voicecore/agent", "t")
HUB = Reference("docker.io", "me/agent")


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def anonymous() -> None:
    return None


def with_repository(
    registry: FakeRegistry,
    body: Callable[[Repository], Awaitable[Any]],
    source: LoginSource = anonymous,
    actions: str = "pull,push",
    name: str = "agent",
) -> Any:
    """Run `body` with a repository of `registry`, and return its result."""

    async def work() -> Any:
        async with registry.serving():
            reference = Reference(registry.host, name, "t")
            async with Repository(reference, source, actions, SHORT_PAUSES) as repository:
                return await body(repository)

    return asyncio.run(work())


async def content() -> AsyncIterator[bytes]:
    for start in range(0, len(BLOB), 100_000):
        yield BLOB[start : start + 100_000]


def ignore(progress: Progress) -> None:
    del progress


async def push(repository: Repository, mount_from: str = "") -> int:
    return await repository.push(DIGEST, len(BLOB), content, ignore, "blob", mount_from)
