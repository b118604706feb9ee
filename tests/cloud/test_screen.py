"""deploy and destroy on a terminal, with questions."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_deploy import changes
from tests.standins.aws import Aws
from tests.standins.terminal import Terminal
from voicecore.console.errors import ExitCode

ROOT = Path(__file__).parents[2]


def run_on_terminal(
    command: str, deployer: Deployer, aws: Aws, *more: str, height: int = 24
) -> AbstractContextManager[Terminal]:
    """Run a command of `tests.cloud.deploying` on a terminal."""
    argv = [sys.executable, "-m", "tests.cloud.deploying", command, str(deployer.root), *more]
    environment = {"PATH": os.environ["PATH"], **aws.environment}
    return Terminal.running(argv, ROOT, environment, height=height)


@pytest.mark.parametrize("answer", ["n", "C-c"])
def test_unconfirmed_deploy_creates_nothing(aws: Aws, deployer: Deployer, answer: str) -> None:
    with run_on_terminal("deploy", deployer, aws) as terminal:
        terminal.shows(
            "account 123456789012  region us-east-1", "+ runtime", "Apply these changes?"
        )
        terminal.presses(answer)
        code = terminal.ends()
    assert code == (ExitCode.FAILED if answer == "n" else ExitCode.INTERRUPTED)
    assert changes(aws) == []


def test_confirmed_deploy_and_destroy_are_carried_out(aws: Aws, deployer: Deployer) -> None:
    before = aws.inventory()
    with run_on_terminal("deploy", deployer, aws) as terminal:
        terminal.shows("Apply these changes?")
        terminal.presses("y")
        terminal.shows("runtime Runtime", "line · dev is deployed", "voicecore talk --remote")
        assert terminal.ends() == ExitCode.OK
    with run_on_terminal("destroy", deployer, aws) as terminal:
        terminal.shows("- runtime", "- image repository", "Delete all of this?")
        terminal.presses("y")
        terminal.shows("Nothing is left.")
        assert terminal.ends() == ExitCode.OK
    assert aws.inventory() == before


def files_of(deployer: Deployer) -> dict[str, bytes]:
    """Return every file of the project by its path."""
    paths = (path for path in deployer.root.rglob("*") if path.is_file())
    return {str(path.relative_to(deployer.root)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("answer", ["n", "C-c"])
def test_transport_is_not_added_without_confirmation(
    aws: Aws, deployer: Deployer, answer: str
) -> None:
    before = files_of(deployer)
    with run_on_terminal("deploy", deployer, aws, "webrtc") as terminal:
        terminal.shows("Change these")
        terminal.presses(answer)
        if answer == "n":
            terminal.shows("To confirm, run:  voicecore deploy --transport webrtc")
        code = terminal.ends()
    assert code == (ExitCode.FAILED if answer == "n" else ExitCode.INTERRUPTED)
    assert files_of(deployer) == before
    assert not list(aws.journal)


def test_transport_is_added_as_shown_and_then_deployed(aws: Aws, deployer: Deployer) -> None:
    bot = deployer.root / "agent/bot.py"
    bot.write_text(f"# all mine\n{bot.read_text()}")
    before = files_of(deployer)
    with run_on_terminal("deploy", deployer, aws, "webrtc", height=400) as terminal:
        shown = terminal.shows("line has no WebRTC yet", "Change these")
        assert files_of(deployer) == before
        terminal.presses("y")
        # A browser needs a relay, so the plan has a network and a channel now.
        terminal.shows(
            "line now has WebRTC", "+ TURN channel", "+ NAT gateway", "Apply these changes?"
        )
        terminal.presses("n")
        terminal.shows("nothing was changed in AWS.")
        assert terminal.ends() == ExitCode.FAILED
    after = files_of(deployer)
    assert after["agent/bot.py"] == before["agent/bot.py"]
    written = {path for path in after if after[path] != before.get(path)}
    for path in {path for path in written if not path.startswith(".voicecore/")}:
        assert path in shown
        now, new = (each.get(path, b"").decode().splitlines() for each in (before, after))
        if now:
            # Long lines continue in the next row.
            added, rows = (line for line in new if line not in now), "".join(shown.split())
            assert all("".join(line.split()) in rows for line in added), path
    assert changes(aws) == []
