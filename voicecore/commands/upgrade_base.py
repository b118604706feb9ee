"""`voicecore upgrade-base`: pin agent/Dockerfile to the newest build of its base image."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from voicecore.aws.login import AwsLogin
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.image.cache_folders import bases_folder
from voicecore.image.inputs import base_image, dockerfile, fingerprint
from voicecore.image.model import BaseImage
from voicecore.image.registry.credentials import RegistryLogins
from voicecore.options.upgrade_base import UpgradeBaseOptions
from voicecore.project.project import load_project


def run(context: Context, options: UpgradeBaseOptions) -> ExitCode:
    """Pin the newest build of the current base image, or of another one."""
    project = load_project(context.cwd / (options.project or ""))
    text = dockerfile.read(project.agent)
    before = dockerfile.base_of(text)
    logins = RegistryLogins(AwsLogin())
    with context.output.step(f"Looking up {options.image or before.partition('@')[0]}"):
        cache = bases_folder(context.env)
        newest = asyncio.run(base_image.newest(options.image or before, cache, logins))
    changed = newest.reference != before
    if changed and not options.dry_run:
        dockerfile.write(project.agent, dockerfile.with_base(text, newest.reference))
    if options.json:
        context.output.json(_document(before, newest, changed and not options.dry_run))
        return ExitCode.OK
    age = fingerprint.age_of(newest, datetime.now(UTC))
    built = f", built on {newest.created[:10]} ({age} days ago)" if age is not None else ""
    if not changed:
        context.output.say(f"agent/Dockerfile already has the newest base image{built}:")
    elif options.dry_run:
        context.output.say(f"agent/Dockerfile would use this base image{built}:")
    else:
        context.output.say(f"agent/Dockerfile now uses this base image{built}:")
    context.output.say(f"  {newest.reference}")
    if changed and not options.dry_run:
        context.output.note("Check that the agent still runs on it:  voicecore build --check")
    return ExitCode.OK


def _document(before: str, newest: BaseImage, changed: bool) -> dict[str, object]:
    return {
        "before": before,
        "base": newest.reference,
        "created": newest.created,
        "changed": changed,
    }
