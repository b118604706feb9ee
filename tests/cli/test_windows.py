"""Commands on Windows, which lacks modules of Python: they name the way that works."""

import subprocess
import sys

import pytest

from voicecore.console.errors import ExitCode

SCRIPT = """
import sys
sys.modules["fcntl"] = None  # importing it fails, as on Windows
from voicecore.cli.app import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", [("dev",), ("status",), ("clean", "--json")])
def test_command_that_windows_cannot_run_names_wsl2(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.MISSING_TOOL
    shown = done.stdout if "--json" in command else done.stderr
    assert "This command runs on Linux and macOS only." in shown
    assert "wsl --install" in shown
    assert "Traceback" not in done.stderr


def test_windows_can_create_a_project_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "init", "mine", "--yes", "--dry-run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.OK, done.stderr
