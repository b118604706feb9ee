"""What still runs: by which tests see that nothing is left behind."""

import subprocess
from pathlib import Path


def processes_in(folder: Path) -> list[str]:
    """The processes whose command line names something in `folder`."""
    found = subprocess.run(["pgrep", "-af", str(folder)], capture_output=True, text=True)
    return [line for line in found.stdout.splitlines() if "pgrep" not in line]
