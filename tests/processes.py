"""Owns the list of running processes, with which tests check that none is left behind."""

import subprocess
from pathlib import Path


def processes_in(folder: Path) -> list[str]:
    """Return the processes whose command line names something in `folder`."""
    found = subprocess.run(["pgrep", "-af", str(folder)], capture_output=True, text=True)
    return [line for line in found.stdout.splitlines() if "pgrep" not in line]
