"""`voicecore adopt`: what is reported and written, and what stays as it was."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode
from voicecore.project.project import load_project

AGENTS = Path(__file__).parents[1] / "foreign_agents"


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(AGENTS / name, folder / name.replace("_", "-")))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "name", ["sdk_entrypoint", "sdk_websocket", "fastapi_healthy", "reads_port"]
)
def test_only_voicecore_toml_is_written(voicecore: Voicecore, tmp_path: Path, name: str) -> None:
    agent = copied(name, tmp_path)
    before = contents(agent)
    result = voicecore("adopt", agent.name)
    assert result.code == 0, result.stderr
    after = contents(agent)
    assert {path: after[path] for path in before} == before
    new = {path for path in after if not path.startswith(".voicecore/")} - before.keys()
    assert new == {"voicecore.toml"}
    project = load_project(agent)
    assert (project.name, project.pipeline) == (agent.name, "custom")
    assert project.id
    assert project.agent_program.requirements
    assert project.agent_program.requirements.exists()


def test_local_runs_leave_nothing_for_git_to_see(voicecore: Voicecore, tmp_path: Path) -> None:
    agent = copied("sdk_entrypoint", tmp_path)
    voicecore("adopt", agent.name)
    assert (agent / ".voicecore/.gitignore").read_text() == "*\n"


def test_dry_run_reports_and_writes_nothing(voicecore: Voicecore, tmp_path: Path) -> None:
    agent = copied("fastapi_healthy", tmp_path)
    before = contents(agent)
    result = voicecore("adopt", agent.name, "--dry-run")
    assert result.code == 0
    for word in ("main.py:4: a FastAPI app, app", "requirements.txt", '"healthy"', "--add tests"):
        assert word in result.stderr + result.stdout
    assert contents(agent) == before


def test_suggested_command_writes_nothing_either_after_a_dry_run(
    voicecore: Voicecore, tmp_path: Path
) -> None:
    agent = copied("fastapi_healthy", tmp_path)
    shutil.copytree(agent, agent / "other")
    (agent / "Dockerfile").unlink()
    result = voicecore("adopt", agent.name, "--dry-run")
    assert "voicecore adopt fastapi-healthy --dry-run --entry main.py" in result.stderr


def test_report_is_a_document(voicecore: Voicecore, tmp_path: Path) -> None:
    copied("pipecat_keys", tmp_path)
    env = {"DEEPGRAM_API_KEY": "x", "AWS_REGION": "eu-west-1"}
    document = voicecore("adopt", "pipecat-keys", "--dry-run", "--json", env=env).json
    report = document["report"]
    assert document["written"] is False
    assert report["entry"]["kind"] == "pipecat"
    assert {key["name"]: key["set"] for key in report["keys"]} == {
        "DEEPGRAM_API_KEY": True,
        "WEATHER_API_KEY": False,
    }
    assert report["uses"]["polly"] == ["polly:SynthesizeSpeech"]
    assert document["next"] == ["voicecore adopt pipecat-keys --add app"]


def test_session_server_of_the_user_is_taken_over(voicecore: Voicecore, tmp_path: Path) -> None:
    agent = copied("reads_port", tmp_path)
    voicecore("adopt", agent.name)
    server = load_project(agent).server_program
    assert server
    assert (server.command, server.health, server.folder) == (
        ("python", "server.py"),
        "/health",
        agent,
    )


class TestMissingFiles:
    def test_all_are_written_when_asked_for(self, voicecore: Voicecore, tmp_path: Path) -> None:
        agent = copied("pipecat_keys", tmp_path)
        add = "app,keys,dockerfile,server,tests,agents-md"
        result = voicecore("adopt", agent.name, "--add", add)
        assert result.code == 0, result.stderr
        assert "server/.env" not in result.stdout + result.stderr
        for file in ("agentcore_app.py", "agentcore_keys.py", "tests/test_agent.py"):
            ast.parse((agent / file).read_text())
        project = load_project(agent)
        assert project.agent_settings.command.startswith("uvicorn agentcore_app:app")
        assert project.server_program
        assert (agent / "server/internal/server.py").exists()
        assert (agent / "server/.env").stat().st_mode & 0o077 == 0
        assert ".env" in (agent / "server/.gitignore").read_text()
        assert ".env" in (agent / ".dockerignore").read_text().splitlines()
        guide = (agent / "AGENTS.md").read_text()
        assert "| `bot.py` | the agent" in guide and "pytest tests/test_agent.py" in guide
        keys = "before it runs, set in its .env: DEEPGRAM_API_KEY, WEATHER_API_KEY"
        assert keys in result.stderr + result.stdout

    def test_app_gives_a_bot_what_its_run_bot_takes(
        self, voicecore: Voicecore, tmp_path: Path
    ) -> None:
        agent = copied("pipecat_keys", tmp_path)
        voicecore("adopt", agent.name, "--add", "app")
        assert "await agent.run_bot(transport, False)" in (agent / "agentcore_app.py").read_text()

    def test_app_serves_a_bot_whose_file_is_no_identifier(
        self, voicecore: Voicecore, tmp_path: Path
    ) -> None:
        agent = copied("pipecat_keys", tmp_path)
        (agent / "bot.py").rename(agent / "bot-one.py")
        voicecore("adopt", agent.name, "--add", "app")
        app = (agent / "agentcore_app.py").read_text()
        ast.parse(app)
        assert 'agent = importlib.import_module("bot-one")' in app

    def test_app_without_ping_gets_one_around_it(
        self, voicecore: Voicecore, tmp_path: Path
    ) -> None:
        """As Pipecat's WebSocket examples have it, with a page for all paths."""
        agent = tmp_path / "own-app"
        (agent / "web").mkdir(parents=True)
        (agent / "web/site.py").write_text(
            "from fastapi import FastAPI\n\napi = FastAPI()\n\n"
            '@api.get("/{path:path}")\ndef page(path: str):\n    return path\n\n'
            '@api.websocket("/ws")\nasync def talk(websocket):\n    await websocket.accept()\n'
        )
        (agent / "requirements.txt").write_text("fastapi\nuvicorn[standard]\n")
        told = voicecore("adopt", agent.name, "--dry-run")
        assert "site.py does not answer GET /ping" in told.stderr
        voicecore("adopt", agent.name, "--add", "app")
        project = load_project(agent)
        assert project.agent_settings.command.startswith("uvicorn agentcore_app:app")
        assert project.transports == ("websocket",)
        app = (agent / "web/agentcore_app.py").read_text()
        ast.parse(app)
        assert "from site import api as app" in app
        assert "app.router.routes[:0] = router.routes" in app
        again = voicecore("adopt", agent.name, "--force", "--add", "dockerfile")
        assert again.code == 0, again.stderr
        assert "does not answer GET /ping" not in again.stderr
        assert load_project(agent).agent_settings == project.agent_settings
        assert load_project(agent).transports == ("websocket",)

    def test_app_gives_other_bots_the_runners_arguments(
        self, voicecore: Voicecore, tmp_path: Path
    ) -> None:
        agent = copied("pipecat_keys", tmp_path)
        code = (agent / "bot.py").read_text()
        (agent / "bot.py").write_text(
            code.replace("run_bot(transport, handle", "run_bot(a, handle")
        )
        voicecore("adopt", agent.name, "--add", "app")
        assert "await agent.bot(arguments)" in (agent / "agentcore_app.py").read_text()

    def test_image_starts_the_agent_with_its_keys_on_8080(
        self, voicecore: Voicecore, tmp_path: Path
    ) -> None:
        agent = copied("sdk_websocket", tmp_path)
        voicecore("adopt", agent.name, "--add", "dockerfile,keys")
        text = (agent / "Dockerfile").read_text()
        assert "WORKDIR /app/src\n" in text
        assert text.endswith(
            'CMD ["python", "/app/agentcore_keys.py", "python", "-m", "uvicorn", "agent:app", '
            '"--host", "0.0.0.0", "--port", "8080"]\n'
        )

    def test_bot_without_app_is_refused(self, voicecore: Voicecore, tmp_path: Path) -> None:
        agent = copied("pipecat_runner", tmp_path)
        before = contents(agent)
        result = voicecore("adopt", agent.name)
        assert result.code == ExitCode.BAD_PROJECT
        assert "voicecore adopt pipecat-runner --add app" in result.stderr
        assert contents(agent) == before

    def test_file_of_the_user_is_never_replaced(self, voicecore: Voicecore, tmp_path: Path) -> None:
        agent = copied("fastapi_healthy", tmp_path)
        before = contents(agent)
        result = voicecore("adopt", agent.name, "--add", "dockerfile")
        assert result.code != 0
        assert "Dockerfile exists" in result.stderr
        assert contents(agent) == before

    def test_unknown_one_is_refused(self, voicecore: Voicecore, tmp_path: Path) -> None:
        copied("fastapi_healthy", tmp_path)
        result = voicecore("adopt", "fastapi-healthy", "--add", "dockerfil")
        assert result.code == 2
        assert "did you mean 'dockerfile'" in result.stderr


class TestAgain:
    def test_second_time_is_refused_and_says_how_to_go_on(
        self, voicecore: Voicecore, tmp_path: Path
    ) -> None:
        agent = copied("sdk_entrypoint", tmp_path)
        voicecore("adopt", agent.name)
        before = contents(agent)
        result = voicecore("adopt", agent.name)
        assert result.code != 0
        assert "has a voicecore.toml already; nothing was written" in result.stderr
        assert "voicecore adopt sdk-entrypoint --force --dry-run" in result.stderr
        assert contents(agent) == before

    def test_force_keeps_the_id_and_a_copy(self, voicecore: Voicecore, tmp_path: Path) -> None:
        agent = copied("sdk_entrypoint", tmp_path)
        voicecore("adopt", agent.name)
        first, id = (agent / "voicecore.toml").read_bytes(), load_project(agent).id
        result = voicecore("adopt", agent.name, "--force", "--add", "dockerfile")
        assert result.code == 0, result.stderr
        assert load_project(agent).id == id
        (copy,) = (agent / ".voicecore/replaced").rglob("voicecore.toml")
        assert copy.read_bytes() == first

    def test_generated_project_is_refused(self, voicecore: Voicecore, tmp_path: Path) -> None:
        voicecore("init", "mine", "--yes")
        result = voicecore("adopt", "mine", "--force")
        assert result.code == ExitCode.BAD_PROJECT
        assert "is a project that voicecore generated" in result.stderr

    @pytest.mark.parametrize("command", ["update", "add webrtc"])
    def test_generated_files_cannot_be_updated(
        self, voicecore: Voicecore, tmp_path: Path, command: str
    ) -> None:
        agent = copied("sdk_entrypoint", tmp_path)
        voicecore("adopt", agent.name)
        result = voicecore(*command.split(), cwd=agent)
        assert result.code == ExitCode.BAD_PROJECT
        assert "voicecore did not generate" in result.stderr


def test_folder_that_does_not_exist_is_refused(voicecore: Voicecore) -> None:
    result = voicecore("adopt", "nowhere")
    assert result.code == ExitCode.BAD_PROJECT
    assert "is not a folder" in result.stderr


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("--name=A b", "--name: 'A b' is not valid"), ("--region=mars", "--region:")],
)
def test_wrong_options_are_refused(
    voicecore: Voicecore, tmp_path: Path, option: str, wrong: str
) -> None:
    agent = copied("sdk_entrypoint", tmp_path)
    result = voicecore("adopt", agent.name, option)
    assert result.code == 2
    assert wrong in result.stderr
    assert not (agent / "voicecore.toml").exists()
