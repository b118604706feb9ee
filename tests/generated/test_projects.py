"""Every project that `voicecore init` can make is clean, typed, self-contained and alive."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.generated.projects import (
    EVERY_KIND,
    SECRET,
    START_SECONDS,
    WITH_SERVERS,
    WITH_TESTS,
    Kind,
    agent,
    only,
    rendered,
    run,
)
from voicecore.scaffold.render import write_new


def sources(project: Path) -> list[Path]:
    return [path for path in project.rglob("*.py") if ".venv" not in path.parts]


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_is_lint_clean(kind: Kind, tmp_path: Path) -> None:
    project = tmp_path / "support-line"
    write_new(rendered(kind), project)
    run(project, sys.executable, "-m", "ruff", "check", ".")
    run(project, sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_a_file_of_the_code_has_to_do_with_the_transport_or_with_the_pipeline(kind: Kind) -> None:
    """So that what is tested with each of both holds for each pair."""
    files = rendered(kind)
    by_pipeline = rendered(Kind(EVERY_KIND[0].transport, kind.pipeline, kind.chosen))
    by_transport = rendered(Kind(kind.transport, "offline"))
    code = [name for name in files if name.endswith(".py") and "tests/" not in name]
    assert code
    for name in code:
        assert files[name] in (by_pipeline.get(name), by_transport.get(name)), name


def test_agent_is_typed(project: Path) -> None:
    run(project, *pyright(project, "agent"))


@only(WITH_SERVERS)
def test_server_is_typed(project: Path) -> None:
    run(project, *pyright(project, "server"))


def pyright(project: Path, part: str) -> list[str]:
    python = project / part / ".venv/bin/python"
    return [sys.executable, "-m", "pyright", "-p", part, "--pythonpath", str(python)]


def test_never_imports_voicecore(project: Path) -> None:
    for path in sources(project):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "voicecore"], path


def test_keeps_its_secret_out_of_git(project: Path) -> None:
    run(project, "git", "init", "--quiet")
    run(project, "git", "add", "--all")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "server/.env.example" in listed
    assert "server/.env" not in listed
    assert not [name for name in listed if SECRET in (project / name).read_text("latin-1")]


def test_answers_ping_at_once_and_gets_ready_without_credentials(
    project: Path, tmp_path: Path
) -> None:
    with agent(project / "agent", tmp_path / "log") as running:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/ping", timeout=5) as answer:
            body = json.load(answer)
        assert body["status"] == "Healthy"
        assert isinstance(body["time_of_last_update"], int)
        ready = running.until("ready")
    assert 0 < ready["seconds"] < START_SECONDS
    assert 50 < ready["peak_mb"] < 1000
    for line in running.written():
        assert {"time", "level", "event", "session_id"} <= line.keys()


@only(WITH_TESTS)
def test_agents_own_tests_pass(project: Path) -> None:
    """All but a conversation, which takes AWS's models. The offline agent's: test_left_out."""
    run(project, str(project / "agent/.venv/bin/python"), "-m", "pytest", "-q")


@only(WITH_SERVERS)
def test_servers_own_tests_pass(project: Path) -> None:
    run(project, str(project / "server/.venv/bin/python"), "-m", "pytest", "-q", "server")
