"""The agent and the server of a project, as [agent] and [server] describe them."""

import os
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.local.environments import agent_spec
from voicecore.local.processes import venv
from voicecore.project.project import BadProject, Project, load_project
from voicecore.project.settings.programs import AgentSettings

CUSTOM = """\
name = "their-agent"
transports = ["websocket"]
pipeline = "custom"
region = "us-east-1"
"""
GENERATED = CUSTOM.replace("custom", "offline")


def load(folder: Path, text: str) -> Project:
    (folder / "voicecore.toml").write_text(text)
    return load_project(folder)


def test_agent_of_the_user_is_read(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        f"""{CUSTOM}
[agent]
folder = "src"
command = "uvicorn 'main:app' --port $PORT"
requirements = "../requirements.txt"
port = 9000
request_headers = ["X-Tenant"]
environment = {{ GREETING = "Hello" }}
uses = ["bedrock", "polly"]
""",
    )
    assert project.agent_settings == AgentSettings(
        folder="src",
        command="uvicorn 'main:app' --port $PORT",
        requirements="../requirements.txt",
        port=9000,
        request_headers=("X-Tenant",),
        environment={"GREETING": "Hello"},
        uses=("bedrock", "polly"),
    )
    assert project.agent == tmp_path / "src"
    program = project.agent_program
    assert program.command == ("uvicorn", "main:app", "--port", "$PORT")
    assert program.venv == tmp_path / ".voicecore/venv/agent"


def test_project_of_the_user_has_no_server_unless_it_names_its_command(tmp_path: Path) -> None:
    agent = f'{CUSTOM}[agent]\ncommand = "python a.py"\n'
    assert load(tmp_path, agent).server_program is None
    assert load(tmp_path, f"{agent}[server]\npeak_calls = 5\n").server_program is None
    server = load(tmp_path, f'{agent}[server]\ncommand = "python s.py"\nhealth = "/"\n')
    assert server.server_program
    assert (server.server_program.command, server.server_program.health) == (
        ("python", "s.py"),
        "/",
    )
    assert server.server == tmp_path


def test_server_of_the_user_may_have_a_port_and_no_path_that_tells_its_health(
    tmp_path: Path,
) -> None:
    agent = f'{CUSTOM}[agent]\ncommand = "python a.py"\n'
    project = load(tmp_path, f'{agent}[server]\ncommand = "node s.js"\nport = 3000\n')
    assert project.server_program
    assert (project.server_program.port, project.server_program.health) == (3000, "")
    assert not project.has_own_server
    with pytest.raises(BadProject, match=r"server\.port: must be a whole number"):
        load(tmp_path, f'{agent}[server]\ncommand = "node s.js"\nport = 70000\n')


def test_server_that_adopt_wrote_is_ours(tmp_path: Path) -> None:
    handler = tmp_path / "server/internal/lambda_handler.py"
    handler.parent.mkdir(parents=True)
    handler.touch()
    own = '[server]\nfolder = "server"\ncommand = "python -m internal.server"\n'
    assert load(tmp_path, f'{CUSTOM}[agent]\ncommand = "a"\n{own}').has_own_server
    assert load(tmp_path, GENERATED).has_own_server


def test_generated_project_runs_as_before(tmp_path: Path) -> None:
    project = load(tmp_path, GENERATED)
    python = str(tmp_path / "agent/.venv/bin/python")
    assert agent_spec(project, {}).argv == (python, "-m", "internal.app")
    assert project.server_program
    assert venv.command_of(project.server_program)[1:] == ("-m", "internal.server")
    assert project.server_program.health == "/health"


def test_agent_starts_in_its_own_environment(tmp_path: Path) -> None:
    text = f'{CUSTOM}[agent]\nfolder = "."\ncommand = "serve --port $PORT"\n'
    project = load(tmp_path, f'{text}environment = {{ GREETING = "Hello", VOICE = "a" }}\n')
    (tmp_path / ".env").write_text("VOICE=b\n")
    bin_folder = tmp_path / ".voicecore/venv/agent/bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "serve").touch()
    spec = agent_spec(project, {"PATH": "/usr/bin"})
    assert spec.argv == (str(bin_folder / "serve"), "--port", "$PORT")
    assert spec.cwd == tmp_path
    assert spec.env["PATH"] == f"{bin_folder}:/usr/bin"
    assert (spec.env["GREETING"], spec.env["VOICE"]) == ("Hello", "b")


def test_packages_are_installed_outside_of_the_users_files(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    text = f'{CUSTOM}[agent]\nfolder = "."\ncommand = "python a.py"\n'
    project = load(tmp_path, f'{text}requirements = "requirements.txt"\n')
    venv.install([project.agent_program], {**os.environ, "UV_OFFLINE": "1"})
    venv.install([project.agent_program], {**os.environ, "UV_OFFLINE": "1"})
    assert (project.agent_program.venv / "bin/python").exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"requirements.txt", "voicecore.toml", ".voicecore"}


@pytest.mark.parametrize(
    ("agent", "wrong"),
    [
        ("", "agent.command: is missing"),
        ('command = "python a.py"\nfoldr = "src"', "did you mean 'folder'"),
        ('command = "python \'a.py"', "agent.command: is not a command line: no closing"),
        ('command = "cd src && python a.py"', "agent.command: runs without a shell"),
        ('command = ["python", "a.py"]', "agent.command: must be a text"),
        ('command = "a"\nfolder = "/srv"', "agent.folder: '/srv' is not a path inside"),
        ('command = "a"\nfolder = "src/../.."', "is not a path inside the project"),
        ('command = "a"\nrequirements = "../../r.txt"', "is not a path inside the project"),
        ('command = "a"\nport = 70000', "agent.port: must be a whole number"),
        ('command = "a"\nrequest_headers = "X-A"', "request_headers: must be a list"),
        ('command = "a"\nrequest_headers = ["X A"]', "'X A' is not the name of a header"),
        (
            'command = "a"\nrequest_headers = ["Cookie"]',
            "'Cookie' is a header that AgentCore passes",
        ),
        ('command = "a"\nenvironment = {PORT = "1"}', "environment.PORT: is set by"),
        ('command = "a"\nenvironment = {OPENAI_API_KEY = "x"}', "may be a secret"),
        ('command = "a"\nenvironment = {A = 1}', "agent.environment.A: must be a text"),
        ('command = "a"\nuses = ["pooly"]', "'pooly' is unknown; did you mean 'polly'?"),
        ('command = "a"\nuses = "polly"', "agent.uses: must be a list"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, agent: str, wrong: str) -> None:
    with pytest.raises(BadProject) as error:
        load(tmp_path, f"{CUSTOM}[agent]\n{agent}\n")
    assert wrong in error.value.message


@pytest.mark.parametrize(
    "table", ['[agent]\ncommand = "a"', "[agent]\nport = 80", '[server]\ncommand = "a"']
)
def test_generated_project_keeps_its_programs(tmp_path: Path, table: str) -> None:
    with pytest.raises(BadProject, match='is used only with pipeline = "custom"'):
        load(tmp_path, f"{GENERATED}{table}\n")


def test_stage_cannot_change_the_program_of_the_server(tmp_path: Path) -> None:
    stage = '[stages.prod.server]\ncommand = "a"\n'
    with pytest.raises(BadProject, match=r"stages\.prod\.server\.command"):
        load(tmp_path, f'{CUSTOM}[agent]\ncommand = "a"\n{stage}')


def test_only_an_agent_of_the_user_may_have_no_transport(tmp_path: Path) -> None:
    def none(text: str) -> str:
        return text.replace('["websocket"]', "[]")

    assert load(tmp_path, none(f'{CUSTOM}[agent]\ncommand = "a"\n')).transports == ()
    with pytest.raises(BadProject, match="at least one name"):
        load(tmp_path, none(GENERATED))


def test_init_sends_to_adopt(voicecore: Voicecore, tmp_path: Path) -> None:
    result = voicecore("init", "mine", "--pipeline", "custom", "--yes")
    assert result.code == 2
    assert "voicecore adopt" in result.stderr
