"""Fixtures of all tests: the command line as a function."""

from __future__ import annotations

import gc
import io
import json
import signal
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from voicecore.cli.app import main
from voicecore.console.context import Context
from voicecore.console.output import Output

pytest_plugins = ["tests.requirements"]

# Background jobs of a shell ignore Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    # Imported late: `make unit` shows no header.
    from tests.generated.projects import combination_of_this_commit

    return f"combination of transports of this commit: {combination_of_this_commit()}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the thousands of collected tests out of every later search for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that take minutes, unless `-m exhaustive` selects them."""
    if config.getoption("markexpr") != "exhaustive":
        left_out = [item for item in items if item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@dataclass(frozen=True)
class Result:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Voicecore = Callable[..., Result]


@pytest.fixture
def voicecore(tmp_path: Path) -> Voicecore:
    """Call `main` with streams of its own in an empty folder, without a terminal."""

    def call(*arguments: str, cwd: Path = tmp_path, env: dict[str, str] | None = None) -> Result:
        stdout, stderr = io.StringIO(), io.StringIO()
        context = Context(cwd=cwd, env=env or {}, output=Output(stdout, stderr), interactive=False)
        with pytest.raises(SystemExit) as exit:
            main(list(arguments), context)
        code = exit.value.code
        return Result(code if isinstance(code, int) else 0, stdout.getvalue(), stderr.getvalue())

    return call
