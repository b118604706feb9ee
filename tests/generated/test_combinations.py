"""Projects with several transports pass their own tests.

One of the combinations at a time, another for each commit; pytest's header names it. All of them
take minutes: `pytest -m exhaustive tests/generated/test_combinations.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generated.projects import (
    COMBINATIONS,
    Kind,
    combination_of_this_commit,
    rendered,
    run,
)
from voicecore.scaffold.render import write_new


@pytest.mark.parametrize(
    "kind", [kind for kind in COMBINATIONS if kind.pipeline == "offline"], ids=str
)
def test_project_is_lint_clean(kind: Kind, tmp_path: Path) -> None:
    write_new(rendered(kind), tmp_path / "support-line")
    for check in (["check"], ["format", "--check"]):
        run(tmp_path / "support-line", sys.executable, "-m", "ruff", *check, ".")


@pytest.mark.parametrize("kind", [combination_of_this_commit()], ids=str)
def test_combination_of_this_commit_passes_its_tests(
    kind: Kind, make: Callable[[Kind], Path]
) -> None:
    expect_passing_tests(make(kind))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", COMBINATIONS, ids=str)
def test_every_combination_passes_its_tests(kind: Kind, make: Callable[[Kind], Path]) -> None:
    expect_passing_tests(make(kind))


def expect_passing_tests(project: Path) -> None:
    for part in ("agent", "server"):
        run(project, str(project / part / ".venv/bin/python"), "-m", "pytest", "-q", part)
