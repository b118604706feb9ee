"""Every project that `voicecore init` can create is clean, typed, self-contained and starts."""

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
    PAIR,
    SECRET,
    WITH_SERVERS,
    WITH_TESTS,
    Kind,
    agent_tests_of,
    only,
    rendered,
    run,
    running_agent,
)
from voicecore.project.snapshot_check import check_snapshot
from voicecore.scaffold.render import write_new


def sources(project: Path) -> list[Path]:
    return [path for path in project.rglob("*.py") if ".venv" not in path.parts]


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_project_is_lint_clean(kind: Kind, tmp_path: Path) -> None:
    project = tmp_path / "support-line"
    write_new(rendered(kind), project)
    run(project, sys.executable, "-m", "ruff", "check", ".")
    run(project, sys.executable, "-m", "ruff", "format", "--check", ".")


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_generated_agent_captures_nothing(kind: Kind, tmp_path: Path) -> None:
    write_new(rendered(kind), tmp_path / "project")
    agent = tmp_path / "project/agent"
    assert check_snapshot(agent) == []
    # Those that bot.py does not import are loaded too.
    modules = [p.relative_to(agent).with_suffix("") for p in (agent / "internal").glob("*.py")]
    modules += [p.relative_to(agent).with_suffix("") for p in agent.glob("internal/turn/*.py")]
    lines = [f"import {'.'.join(module.parts)}" for module in modules]
    (agent / "bot.py").write_text("\n".join(lines), "utf-8")
    assert check_snapshot(agent) == []


@pytest.mark.parametrize("kind", EVERY_KIND, ids=str)
def test_source_file_depends_on_transport_or_pipeline_only(kind: Kind) -> None:
    """Because of this, tests of each transport and of each pipeline cover every pair."""
    files = rendered(kind)
    by_pipeline = rendered(Kind(EVERY_KIND[0].transport, kind.pipeline, kind.services))
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


def test_project_does_not_import_voicecore(project: Path) -> None:
    for path in sources(project):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "voicecore"], path


def test_git_ignores_the_secret(project: Path) -> None:
    run(project, "git", "init", "--quiet")
    run(project, "git", "add", "--all")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "server/.env.example" in listed
    assert "server/.env" not in listed
    assert not [name for name in listed if SECRET in (project / name).read_text("latin-1")]


def test_agent_answers_ping_and_becomes_ready_without_credentials(
    project: Path, tmp_path: Path
) -> None:
    with running_agent(project / "agent", tmp_path / "log") as running:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/ping", timeout=5) as answer:
            body = json.load(answer)
        assert body["status"] == "Healthy"
        assert isinstance(body["time_of_last_update"], int)
        ready = running.wait_for("ready")
    assert ready["seconds"] > 0
    assert 50 < ready["peak_mb"] < 1000
    for line in running.lines():
        assert {"time", "level", "event", "session_id"} <= line.keys()


@only([Kind("webrtc", "offline")])
def test_agent_on_v2_is_loaded_when_it_first_answers(project: Path, tmp_path: Path) -> None:
    """AgentCore takes the snapshot then, and what it lacks is loaded in each session."""
    log = tmp_path / "log"
    with running_agent(project / "agent", log, {"AGENTCORE_PLATFORM": "v2"}) as running:
        assert running.lines()[-1]["event"] == "ready"
        threads = Path(f"/proc/{running.process.pid}/task")
        # Of CTranslate2, which runs Whisper. Other pipelines leave none.
        assert not threads.exists() or len(list(threads.iterdir())) <= 3
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/ping", timeout=5) as answer:
            assert json.load(answer)["status"] == "Healthy"


@only(WITH_TESTS)
def test_tests_of_the_agent_pass(project: Path) -> None:
    """Conversations with AWS's models are deselected; test_missing_modules runs the offline one."""
    run(project, str(project / "agent/.venv/bin/python"), "-m", "pytest", "-q")


@only([PAIR])
def test_tests_of_transport_and_pipeline_pass_together(project: Path) -> None:
    python = str(project / "agent/.venv/bin/python")
    run(project, python, "-m", "pytest", "-q", *agent_tests_of(PAIR))


@only(WITH_SERVERS)
def test_tests_of_the_server_pass(project: Path) -> None:
    run(project, str(project / "server/.venv/bin/python"), "-m", "pytest", "-q", "server")
