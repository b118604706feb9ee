"""The files of the repository have its style, its prose and right types, as `make lint` checks."""

import os
import subprocess

from tests.docs.blocks import ROOT


def test_lint_finds_nothing() -> None:
    """Run it beside the other tests, because pyright takes a minute of one processor."""
    env = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(["make", "lint"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
