"""`voicecore rollback`: move callers back to an earlier version."""

from __future__ import annotations

from voicecore.cloud.releases.choice import rollback
from voicecore.commands.releases.moving import run_move
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.options.releases.rollback import RollbackOptions


def run(context: Context, options: RollbackOptions) -> ExitCode:
    """Move callers to the version that was named, or to the one that they reached before."""
    return run_move(context, options, "rollback", rollback)
