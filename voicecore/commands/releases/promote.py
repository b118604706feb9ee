"""`voicecore promote`: move callers to a version that no caller has reached."""

from __future__ import annotations

from voicecore.cloud.releases.choice import promotion
from voicecore.commands.releases.moving import run_move
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.options.releases.promote import PromoteOptions


def run(context: Context, options: PromoteOptions) -> ExitCode:
    """Move callers to the version that was named, or to the newest."""
    return run_move(context, options, "promote", promotion)
