"""A telephony project with all five providers is typed, and its own tests pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.generated.projects import Kind, agent_tests_of, run, run_properties
from tests.generated.test_projects import pyright

KIND = Kind("telephony", "offline")


@pytest.fixture(scope="module")
def project(make: Callable[[Kind], Path]) -> Path:
    return make(KIND)


@pytest.mark.parametrize("part", ["agent", "server"])
def test_project_is_typed(project: Path, part: str) -> None:
    run(project, *pyright(project, part))


def test_tests_of_the_server_pass(project: Path) -> None:
    run(project, str(project / "server/.venv/bin/python"), "-m", "pytest", "-q", "server")


@pytest.mark.parametrize("part", ["agent", "server"])
def test_any_line_is_answered(project: Path, tmp_path: Path, part: str) -> None:
    run_properties(project / part, tmp_path, f"{part}_phone_properties", "phone_starts")


def test_tests_of_the_agent_pass(project: Path) -> None:
    python = str(project / "agent/.venv/bin/python")
    run(project, python, "-m", "pytest", "-q", *agent_tests_of(KIND))
