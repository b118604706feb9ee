"""Kills deploys at a chosen call, and checks that the next deploy continues them."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from tests.cloud.deploying import Deployer
from tests.standins.aws import Aws
from tests.standins.aws.journal import JournalEntry
from voicecore.console.errors import ExitCode


def calls_of_deploy(aws: Aws, deployer: Deployer) -> list[JournalEntry]:
    """Return the calls of a successful deploy, in order."""
    aws.journal.clear()
    process = deployer.start(aws.environment)
    process.join(300)
    assert process.exitcode == ExitCode.OK, deployer.log
    return [entry for entry in aws.journal if entry.by == "client"]


def kill_deploy(aws: Aws, deployer: Deployer, call: int, action: str = "*", **options: Any) -> bool:
    """Kill a deploy after AWS has carried out its n-th call (of an action) and before it answers.

    Return True if the deploy got that far.
    """
    killed: list[int] = []
    process = None

    def kill() -> None:
        while process is None or process.pid is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        killed.append(call)

    aws.faults.after_calls(call, kill, of=action)
    process = deployer.start(aws.environment, **options)
    process.join(300)
    aws.faults.clear()
    assert not killed or process.exitcode == -signal.SIGKILL
    return bool(killed)


def expect_finish(deployer: Deployer, killed_at: object, **options: Any) -> None:
    """Check that the next deploy does the rest, and that one after it has nothing to do."""
    again = deployer.deploy(**options)
    assert again.code == ExitCode.OK, f"after a kill at {killed_at}:\n{again.stderr}"
    assert "nothing was changed" in deployer.deploy().stderr, f"after a kill at {killed_at}"
