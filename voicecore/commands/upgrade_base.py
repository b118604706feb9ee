"""`voicecore upgrade-base`: the newest build of the base image, into agent/Dockerfile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.image.cache_folders import bases_folder
from voicecore.image.inputs import base_image, dockerfile, fingerprint
from voicecore.image.model import BaseImage
from voicecore.project.project import load_project


@dataclass(frozen=True)
class UpgradeBaseOptions:
    """What was typed."""

    image: str | None
    project: Path | None
    dry_run: bool
    json: bool


def run(context: Context, options: UpgradeBaseOptions) -> ExitCode:
    """Pin the newest base, or another one."""
    project = load_project(options.project or context.cwd)
    text = dockerfile.read(project.agent)
    before = dockerfile.base_of(text)
    with context.output.step(f"Asking for {options.image or before.partition('@')[0]}"):
        newest = asyncio.run(base_image.newest(options.image or before, bases_folder(context.env)))
    changed = newest.reference != before
    if changed and not options.dry_run:
        dockerfile.write(project.agent, dockerfile.with_base(text, newest.reference))
    if options.json:
        context.output.json(_document(before, newest, changed and not options.dry_run))
        return ExitCode.OK
    age = fingerprint.age_of(newest, datetime.now(UTC))
    made = f", made {newest.created[:10]} ({age} days ago)" if age is not None else ""
    if not changed:
        context.output.say(f"agent/Dockerfile has the newest base already{made}:")
    elif options.dry_run:
        context.output.say(f"agent/Dockerfile would stand on{made.removeprefix(',')}:")
    else:
        context.output.say(f"agent/Dockerfile now stands on{made.removeprefix(',')}:")
    context.output.say(f"  {newest.reference}")
    if changed and not options.dry_run:
        context.output.note("See that the agent still runs on it:  voicecore build --check")
    return ExitCode.OK


def _document(before: str, newest: BaseImage, changed: bool) -> dict[str, object]:
    return {
        "before": before,
        "base": newest.reference,
        "created": newest.created,
        "changed": changed,
    }
