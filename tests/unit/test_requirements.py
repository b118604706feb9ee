"""Tests that this machine cannot run are left out and named; with CI=true they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import REQUIREMENTS, command, differences, first, tools

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.requirements import REQUIREMENTS, Requirement
for name, problem in (("a lamp", ""), ("a violin", "violin not found"), ("a bow", "no bow here")):
    REQUIREMENTS[name] = Requirement(name, lambda problem=problem: problem, f"buy {name}")
"""
TESTS = """
import pytest
from tests.requirements import require

@pytest.mark.needs("a lamp")
def test_reads():
    pass

@pytest.mark.needs("a violin", "a lamp", "a bow")
@pytest.mark.parametrize("tune", [1, 2])
def test_plays(tune):
    raise AssertionError

@pytest.fixture
def violin():
    require("a violin")

def test_listens(violin):
    raise AssertionError
"""


def run(folder: Path, *options: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_music.py").write_text(TESTS)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.requirements", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    argv += ["-ra", "--strict-markers", f"--rootdir={folder}", *options]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="alone"),
        pytest.param(("-p", "xdist", "-n", "2"), marks=pytest.mark.slow, id="in parallel"),
    ],
)
def test_tests_without_their_requirements_are_left_out_and_counted(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = run(tmp_path, *options)
    assert done.returncode == 0, done.stdout
    before, title, summary = done.stdout.partition(" 3 left out ===")
    assert "1 passed, 3 left out in " in before and "SKIPPED" not in before, done.stdout
    assert title
    assert summary.strip("=").strip().splitlines() == [
        "3 tests need a violin: violin not found.",
        "    buy a violin",
        "2 tests need a bow: no bow here.",
        "    buy a bow",
    ]


def test_tests_without_their_requirements_fail_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, ci="true")
    assert done.returncode == 1
    assert "1 passed, 3 errors in " in done.stdout
    assert "CI=true, but this machine lacks:\na violin: violin not found." in done.stdout
    assert "left out" not in done.stdout


def test_checks_report_why_the_machine_lacks_something() -> None:
    assert tools("sh")() == ""
    assert tools("sh", "no-such-tool", "another")() == "no-such-tool, another not found"
    assert command("sh", "-c", "echo first >&2; echo last >&2; exit 1")() == "last"
    assert command("sh", "-c", "exit 3")() == "exit code 3"
    assert "no-such-tool" in command("no-such-tool")()
    assert first(tools("sh"), lambda: "second", lambda: "third")() == "second"


def test_differences_from_the_environment_of_make_are_named() -> None:
    assert differences({"PATH": "/bin", "PYTHONUNBUFFERED": ""}, "") == []
    env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    assert differences(env, "no Python 3.13 on PATH") == [
        "no Python 3.13 on PATH",
        "PYTHONDONTWRITEBYTECODE is set",
        "PYTHONUNBUFFERED is set",
    ]


def test_python_without_the_packages_says_so_in_a_sentence() -> None:
    argv = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.append({str(ROOT)!r}); import tests",
    ]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        f"{sys.executable} has no pytest, because it is not the Python of make's .venv. "
        "Run:  make test ARGS=PATH\n"
    )


def test_every_requirement_names_a_command() -> None:
    for name, requirement in REQUIREMENTS.items():
        assert name == requirement.name and requirement.provide
        assert "," not in name  # the summary splits the names of a test at commas
