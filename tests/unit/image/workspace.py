"""Builds without Docker: an agent, the registry with its base, and a store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.standins.image.in_process_registry import FakeRegistry
from tests.unit.image.sample_project import uv_env
from voicecore.console.progress import Progress
from voicecore.image.blob_store import blob_path
from voicecore.image.builders.copy_layers import DirectInputs
from voicecore.image.builders.direct import build
from voicecore.image.builders.transfer import PushResult, StoredImage, push, save
from voicecore.image.inputs.dockerfile import FinalStage
from voicecore.image.registry.client import Repository
from voicecore.image.registry.reference import Reference

STAGE = FinalStage(
    env={"PYTHONPATH": "/opt/packages", "PATH": "/opt/bin:/usr/bin"},
    copies=(("/image/opt", "/opt"), ("/image/app", "/app")),
    workdir="/app",
    user="1000",
    ports=("8080/tcp",),
    command=("python", "bot.py"),
)
FILES = ["bot.py", "run.sh", "internal/prune.py", "uv.lock", "pyproject.toml"]


@dataclass
class Workspace:
    """An agent, the registry with its base, a store, and the progress so far."""

    inputs: DirectInputs
    registry: FakeRegistry
    store: Path
    progress: list[Progress]

    def build(self, fresh: bool = False, **changes: Any) -> StoredImage:
        inputs = replace(self.inputs, **changes)

        async def work() -> StoredImage:
            async with self.registry.serving(), self.open("python", "pull") as source:
                on_progress = self.progress.append
                return await build(inputs, self.store, source, uv_env(), on_progress, fresh)

        return asyncio.run(work())

    def steps(self) -> list[str]:
        return [f"{p.task} {p.note}".strip() for p in self.progress if p.finished]

    def blob(self, digest: str) -> bytes:
        return blob_path(self.store, digest).read_bytes()

    def push(self, stored: StoredImage, to: str = "agent") -> PushResult:
        async def work() -> PushResult:
            async with (
                self.registry.serving(),
                self.open(to, "pull,push") as target,
                self.open("python", "pull") as source,
            ):
                return await push(stored, target, source, self.progress.append)

        return asyncio.run(work())

    def save(self, stored: StoredImage, path: Path) -> None:
        async def work() -> None:
            async with self.registry.serving(), self.open("python", "pull") as source:
                await save(stored, path, source, "voicecore/agent:tag", self.progress.append)

        asyncio.run(work())

    def open(self, name: str, actions: str) -> Repository:
        reference = Reference(self.registry.host, name, "tag")
        return Repository(reference, lambda: None, actions, (0.01, 0.01))
