"""deploy and destroy as a person at a terminal meets them."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_life import changes
from tests.standins.aws import Aws
from tests.standins.terminal import Terminal
from voicecore.console.errors import ExitCode

ROOT = Path(__file__).parents[2]


def typed(
    command: str, deployer: Deployer, aws: Aws, *more: str, height: int = 24
) -> AbstractContextManager[Terminal]:
    """A command of `tests.cloud.deploying`, at a terminal."""
    argv = [sys.executable, "-m", "tests.cloud.deploying", command, str(deployer.root), *more]
    environment = {"PATH": os.environ["PATH"], **aws.environment}
    return Terminal.running(argv, ROOT, environment, height=height)


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


def files_of(deployer: Deployer) -> dict[str, bytes]:
    """Every file of the project by its path in it."""
    paths = (path for path in deployer.root.rglob("*") if path.is_file())
    return {str(path.relative_to(deployer.root)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("answer", ["n", "C-c"])
def test_a_transport_that_nobody_agrees_to_add_changes_nothing(
    aws: Aws, deployer: Deployer, answer: str
) -> None:
    before = files_of(deployer)
    with typed("deploy", deployer, aws, "webrtc") as terminal:
        terminal.shows("Make these changes?")
        terminal.presses(answer)
        if answer == "n":
            terminal.shows("To be asked again:  voicecore deploy --transport webrtc")
        code = terminal.ends()
    assert code == (ExitCode.FAILED if answer == "n" else ExitCode.INTERRUPTED)
    assert files_of(deployer) == before
    assert not list(aws.journal)


def test_a_transport_is_added_as_it_was_shown_and_then_deployed(
    aws: Aws, deployer: Deployer
) -> None:
    bot = deployer.root / "agent/bot.py"
    bot.write_text(f"# all mine\n{bot.read_text()}")
    before = files_of(deployer)
    with typed("deploy", deployer, aws, "webrtc", height=400) as terminal:
        shown = terminal.shows("line has no WebRTC yet", "Make these changes?")
        assert files_of(deployer) == before
        terminal.presses("y")
        # A browser is reached through a relay: the plan has a network and a channel now.
        terminal.shows("line now has WebRTC", "+ TURN channel", "+ NAT gateway", "Do this?")
        terminal.presses("n")
        terminal.shows("Not confirmed; nothing was changed in AWS.")
        assert terminal.ends() == ExitCode.FAILED
    after = files_of(deployer)
    assert after["agent/bot.py"] == before["agent/bot.py"]
    for path in {path for path in after if after[path] != before.get(path)}:
        assert path in shown
        now, new = (each.get(path, b"").decode().splitlines() for each in (before, after))
        if now:
            # Long lines go on in the next row.
            assert all(line[:70] in shown for line in new if line not in now), path
    assert changes(aws) == []
