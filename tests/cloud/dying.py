"""Deploys that are killed, and what the next one makes of it."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from tests.cloud.deploying import Deployer
from tests.standins.aws import Aws
from tests.standins.aws.journal import JournalEntry
from voicecore.console.errors import ExitCode


def calls_of_a_deploy(aws: Aws, deployer: Deployer) -> list[JournalEntry]:
    """What a deploy that goes well asks of AWS, in order."""
    aws.journal.clear()
    process = deployer.start(aws.environment)
    process.join(60)
    assert process.exitcode == ExitCode.OK, deployer.log
    return [entry for entry in aws.journal if entry.by == "client"]


def dies(aws: Aws, deployer: Deployer, call: int, of: str = "*", **options: Any) -> bool:
    """A deploy is killed when its n-th call (of an action) was carried out: it gets no answer.

    Returns whether it made so many.
    """
    killed: list[int] = []
    process = None

    def kill() -> None:
        while process is None or process.pid is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        killed.append(call)

    aws.faults.after_calls(call, kill, of=of)
    process = deployer.start(aws.environment, **options)
    process.join(60)
    aws.faults.clear()
    assert not killed or process.exitcode == -signal.SIGKILL
    return bool(killed)


def finishes(deployer: Deployer, death: object, **options: Any) -> None:
    """The next deploy does all that is left, and the one after it has nothing to do."""
    again = deployer.deploy(**options)
    assert again.code == ExitCode.OK, f"after death at {death}:\n{again.stderr}"
    assert "nothing was changed" in deployer.deploy().stderr, f"after death at {death}"
