"""deploy and destroy as a person at a terminal meets them."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_life import changes
from tests.lab.aws import Aws
from tests.lab.terminal import Terminal
from voicecore.errors import ExitCode

ROOT = Path(__file__).parents[2]


def typed(command: str, deployer: Deployer, aws: Aws) -> AbstractContextManager[Terminal]:
    """A command of `tests.cloud.deploying`, at a terminal."""
    argv = [sys.executable, "-m", "tests.cloud.deploying", command, str(deployer.root)]
    return Terminal.running(argv, ROOT, {"PATH": os.environ["PATH"], **aws.environment})


@pytest.mark.parametrize("answer", ["n", "C-c"])
def test_nothing_is_made_unless_a_person_agrees(aws: Aws, deployer: Deployer, answer: str) -> None:
    with typed("deploy", deployer, aws) as terminal:
        terminal.shows("account 123456789012  region us-east-1", "+ runtime", "Do this?")
        terminal.presses(answer)
        code = terminal.ends()
    assert code == (ExitCode.FAILED if answer == "n" else ExitCode.INTERRUPTED)
    assert changes(aws) == []


def test_what_a_person_agreed_to_is_made_and_removed(aws: Aws, deployer: Deployer) -> None:
    before = aws.inventory()
    with typed("deploy", deployer, aws) as terminal:
        terminal.shows("Do this?")
        terminal.presses("y")
        terminal.shows("runtime Runtime", "line · dev is up", "voicecore talk --remote")
        assert terminal.ends() == ExitCode.OK
    with typed("destroy", deployer, aws) as terminal:
        terminal.shows("- runtime", "- image repository", "Remove all this?")
        terminal.presses("y")
        terminal.shows("Nothing is left of it.")
        assert terminal.ends() == ExitCode.OK
    assert aws.inventory() == before
