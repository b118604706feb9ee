"""What adopt sees in a folder, without running anything in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from voicecore.adopt.entries import Kind
from voicecore.adopt.folder import Folder, read_folder
from voicecore.adopt.report import Missing, NoAgent, Report, SeveralAgents, report_on

AGENTS = Path(__file__).parents[2] / "foreign_agents"
SDK = "from bedrock_agentcore import BedrockAgentCoreApp\napp = BedrockAgentCoreApp()\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
PING = '@app.get("/ping")\ndef ping():\n    return {"status": "Healthy"}\n'


def report(files: Mapping[str, str]) -> Report:
    return report_on(Folder("an-agent", files))


def of(name: str) -> Report:
    return report_on(read_folder(AGENTS / name))


SHAPES = [
    ("sdk_entrypoint", Kind.SDK, "agent.py:3", "uvicorn agent:app", 0, "requirements.txt", ()),
    (
        "sdk_streaming",
        Kind.SDK,
        "my_agent.py:6",
        "python my_agent.py",
        8080,
        "pyproject.toml",
        (),
    ),
    (
        "sdk_websocket",
        Kind.SDK,
        "src/agent.py:3",
        "uvicorn agent:app",
        0,
        "requirements.txt",
        ("websocket",),
    ),
    (
        "fastapi_healthy",
        Kind.FASTAPI,
        "main.py:4",
        "uvicorn main:app",
        0,
        "requirements.txt",
        ("websocket",),
    ),
    ("pipecat_runner", Kind.PIPECAT, "bot.py:", "", 0, "requirements.txt", ("websocket",)),
    ("pipecat_keys", Kind.PIPECAT, "bot.py:", "", 0, "pyproject.toml", ("websocket",)),
    (
        "reads_port",
        Kind.FASTAPI,
        "agent.py:7",
        "python agent.py",
        0,
        "requirements.txt",
        ("websocket",),
    ),
]


@pytest.mark.parametrize(
    ("name", "kind", "where", "command", "port", "requirements", "transports"), SHAPES
)
def test_each_shape_is_recognized(
    name: str,
    kind: Kind,
    where: str,
    command: str,
    port: int,
    requirements: str,
    transports: tuple[str, ...],
) -> None:
    found = of(name)
    assert found.entry.kind == kind
    assert str(found.entry).startswith(where)
    assert found.command.line.removesuffix(" --host 127.0.0.1 --port $PORT") == command
    assert found.command.port == port
    assert found.packages.file == requirements
    assert found.transports == transports


def test_every_fixture_is_tried() -> None:
    folders = {path.name for path in AGENTS.iterdir() if path.is_dir()}
    assert folders == {name for name, *_ in SHAPES}


def test_ping_and_its_stamp_are_read() -> None:
    healthy = of("fastapi_healthy")
    assert (healthy.ping, healthy.stamped) == ("healthy", False)
    assert healthy.problems == (
        '/ping answers "healthy"; AWS documents "Healthy" and "HealthyBusy"',
    )
    assert (of("reads_port").ping, of("reads_port").stamped) == ("Healthy", True)
    assert of("sdk_entrypoint").stamped


def test_server_of_its_own_is_found() -> None:
    server = of("reads_port").server
    assert server
    assert (server.entry.file, server.entry.variable) == ("server.py", "app")
    assert of("fastapi_healthy").server is None


@pytest.mark.parametrize(
    ("start", "command", "port"),
    [
        ("", "uvicorn main:app", 0),
        ('print("up")\nif __name__ == "__main__":\n    print()\n    ', "python main.py", 3000),
    ],
)
def test_server_in_a_folder_has_its_own_packages_and_port(
    start: str, command: str, port: int
) -> None:
    run = f"import uvicorn\n{start}uvicorn.run(app, port=3000)\n" if start else ""
    server = report(
        {
            "agent.py": SDK,
            "requirements.txt": "bedrock-agentcore\n",
            "server/main.py": f'{FASTAPI}@app.post("/start")\ndef start():\n    pass\n{run}',
            "server/requirements.txt": "fastapi\n",
        }
    ).server
    assert server
    assert server.command.line.startswith(command)
    assert (server.command.folder, server.command.port) == ("server", port)
    assert server.packages.file == "server/requirements.txt"


def test_keys_are_named_with_their_places() -> None:
    keys = [(key.name, key.file, key.required) for key in of("pipecat_keys").keys]
    assert keys == [("DEEPGRAM_API_KEY", "bot.py", True), ("WEATHER_API_KEY", "bot.py", True)]


def test_keys_of_an_example_are_named_unless_commented_out() -> None:
    example = "# OTHER_KEY=x\nexport MY_API_KEY=\nVOICE=a\nnot a line TOKEN\n"
    found = report({"agent.py": SDK, "env.example": example})
    assert [(key.name, key.file, key.line) for key in found.keys] == [
        ("MY_API_KEY", "env.example", 2)
    ]


def test_variables_that_are_no_keys_are_not_asked_for() -> None:
    code = (
        'import os\nos.getenv("VOICE")\nos.environ["AWS_SECRET_ACCESS_KEY"]\nos.environ["PORT"]\n'
    )
    assert report({"agent.py": SDK + code}).keys == ()
    assert [
        key.name for key in report({"agent.py": f'{SDK}{code}os.getenv("MY_TOKEN")\n'}).keys
    ] == ["MY_TOKEN"]


def test_aws_services_are_found_by_imports_and_clients() -> None:
    assert of("pipecat_keys").uses == ("bedrock", "polly")
    assert of("sdk_streaming").uses == ("dynamodb",)
    code = (
        "import boto3 as aws\nimport tools\nsession = aws.Session()\n"
        'session.client(service_name="s3")\naws.client("rekognition")\naws.client("sts")\n'
    )
    found = report({"agent.py": SDK + code, "tools.py": 'import boto3\nboto3.client("lambda")\n'})
    assert found.uses == ("s3", "lambda")
    assert found.unknown == ("rekognition",)
    assert "rekognition" in " ".join(found.problems)


def test_aws_services_of_pipecat_are_found_by_class_too() -> None:
    code = "from pipecat.services.aws import AWSNovaSonicLLMService, AWSTranscribeSTTService\n"
    assert report({"agent.py": SDK + code}).uses == ("bedrock", "transcribe")


def test_services_of_modules_that_the_agent_does_not_import_are_not_granted() -> None:
    other = 'import boto3\nboto3.client("lambda")\n'
    assert report({"agent.py": SDK, "migrate.py": other}).uses == ()


@pytest.mark.parametrize(
    ("dockerfile", "words", "ports", "base"),
    [
        (
            'FROM python:3.12\nCMD ["uv", "run", "--no-sync", "python", "a.py"]',
            "python a.py",
            (),
            "",
        ),
        ("FROM python:3.12\nCMD uvicorn a:app --host 0.0.0.0 --port 8080", None, (), ""),
        (
            "FROM a AS b\nEXPOSE 1\nFROM python:3.12 AS c\nEXPOSE 8080\nCMD node x",
            "node x",
            (8080,),
            "",
        ),
        (
            'ARG B=node:22\nFROM $B\nENTRYPOINT ["node"]\nCMD ["main.js"]',
            "node main.js",
            (),
            "node:22",
        ),
    ],
)
def test_command_of_a_container_is_read(
    dockerfile: str, words: str | None, ports: tuple[int, ...], base: str
) -> None:
    found = report({"Dockerfile": dockerfile})
    assert found.container
    assert found.entry.kind == Kind.CONTAINER
    local = "uvicorn a:app --host 127.0.0.1 --port $PORT"
    assert found.command.line == (words or local)
    assert found.container.ports == ports
    assert base in found.container.base


def test_dockerfile_chooses_between_modules() -> None:
    files = {"one.py": SDK, "two.py": SDK, "Dockerfile": 'FROM a\nCMD ["python", "-m", "two"]'}
    assert report(files).entry.file == "two.py"


def test_module_that_another_serves_is_not_an_agent() -> None:
    bot = "from pipecat.runner.types import RunnerArguments\nasync def bot(args): ...\n"
    found = report({"app.py": f"import bot\n{FASTAPI}{PING}", "bot.py": bot})
    assert (found.entry.file, found.entry.kind) == ("app.py", Kind.FASTAPI)


def test_agent_in_a_package_starts_above_it() -> None:
    command = report({"src/__init__.py": "", "src/agent.py": SDK, "src/tools.py": ""}).command
    assert (command.folder, command.words[1]) == (".", "src.agent:app")
    command = report(
        {"src/agent.py": f"from src.tools import a\n{SDK}", "src/tools.py": ""}
    ).command
    assert (command.folder, command.words[1]) == (".", "src.agent:app")
    assert report({"src/agent.py": SDK}).command.folder == "src"


@pytest.mark.parametrize(
    ("code", "line", "port"),
    [
        ('if __name__ == "__main__":\n    app.run()\n', "uvicorn", 0),
        ('if __name__ == "__main__":\n    load()\n    app.run()\n', "python", 8080),
        ("app.run()\n", "python", 8080),
        ("app.run(port=9000)\n", "python", 9000),
        ("def main():\n    app.run()\n", "uvicorn", 0),
        ("", "uvicorn", 0),
    ],
)
def test_work_of_an_app_before_it_runs_is_kept(code: str, line: str, port: int) -> None:
    command = report({"agent.py": SDK + code}).command
    assert (command.words[0], command.port) == (line, port)


def test_broken_module_is_passed_over() -> None:
    assert report({"agent.py": SDK, "notes.py": "print 'python 2'"}).entry.file == "agent.py"


class TestMistakes:
    def test_folder_without_an_agent_says_what_is_looked_for(self) -> None:
        with pytest.raises(NoAgent) as error:
            report(
                {"notes.py": "print(1)\n", "app.py": f'{FASTAPI}@app.get("/users")\ndef f(): ...\n'}
            )
        assert error.value.message == "an-agent has no agent that adopt knows."
        assert error.value.hint
        assert "BedrockAgentCoreApp" in error.value.hint

    def test_two_agents_are_named_with_how_to_choose(self) -> None:
        with pytest.raises(SeveralAgents) as error:
            report({"one.py": SDK, "two.py": FASTAPI + PING})
        assert "one.py:2: an app of AWS's SDK, app" in error.value.message
        assert "two.py:2: a FastAPI app, app" in error.value.message
        assert error.value.hint == "Choose one:  voicecore adopt --entry one.py"

    def test_chosen_agent_is_taken(self) -> None:
        folder = Folder("a", {"one.py": SDK, "two.py": SDK})
        assert report_on(folder, "./two.py").entry.file == "two.py"
        with pytest.raises(NoAgent, match=r"three\.py is not an agent"):
            report_on(folder, "three.py")

    @pytest.mark.parametrize(
        ("files", "problem"),
        [
            (
                {"Dockerfile": "FROM python:3.9-slim", "requirements.txt": "bedrock-agentcore"},
                "bedrock-agentcore needs Python 3.10 or newer, and the Dockerfile has 3.9",
            ),
            (
                {".python-version": "3.10.4\n", "requirements.txt": "pipecat-ai[aws]~=1.0 # voice"},
                "pipecat-ai needs Python 3.11 or newer, and .python-version allows 3.10",
            ),
            (
                {
                    "pyproject.toml": '[project]\nrequires-python = "<3.12"\n'
                    'dependencies = ["pipecat-ai[aws-nova-sonic]"]\n'
                },
                "aws-sdk-bedrock-runtime needs Python 3.12 or newer, and pyproject.toml "
                "allows 3.11",
            ),
        ],
    )
    def test_python_that_is_too_old_is_named(self, files: dict[str, str], problem: str) -> None:
        assert report_on(Folder("a", {"agent.py": SDK, **files})).problems[0] == problem

    def test_newer_python_is_no_problem(self) -> None:
        files = {
            "agent.py": SDK,
            "requirements.txt": "bedrock-agentcore>=1\n-r more.txt\n./local\n",
        }
        assert report_on(Folder("a", files)).problems == ()

    def test_image_for_another_machine_is_named(self) -> None:
        found = report({"agent.py": SDK, "Dockerfile": "FROM --platform=linux/amd64 python:3.13"})
        assert "the Dockerfile builds for linux/amd64; AgentCore runs linux/arm64" in found.problems

    def test_dockerfile_that_would_not_serve_a_bot_is_named(self) -> None:
        files = {"bot.py": "import pipecat\nasync def bot(args): ...\n"}
        base = "FROM dailyco/pipecat-base\nCOPY bot.py bot.py\n"
        (problem,) = report({**files, "Dockerfile": base, "requirements.txt": "a"}).problems
        assert "does not start agentcore_app.py" in problem
        served = f'{base}CMD ["uvicorn", "agentcore_app:app"]\n'
        assert report({**files, "Dockerfile": served, "requirements.txt": "a"}).problems == ()

    def test_app_without_ping_is_named(self) -> None:
        code = f'{FASTAPI}@app.websocket("/ws")\nasync def ws(socket): ...\n'
        assert any("GET /ping" in problem for problem in report({"main.py": code}).problems)


def test_requirements_one_level_up_are_found(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "requirements.txt").write_text("bedrock-agentcore\n")
    (tmp_path / "agent/agent.py").write_text(SDK)
    assert report_on(read_folder(tmp_path / "agent")).packages.file == "../requirements.txt"


def test_folder_is_read_without_environments_and_tests(tmp_path: Path) -> None:
    for folder in (".venv/lib", "node_modules/a", "tests", "a/b/c/d"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "agent.py").write_text(SDK)
    (tmp_path / "agent.py").write_bytes(b"\xff\xfe")  # not UTF-8
    (tmp_path / "link.py").symlink_to(tmp_path / "none.py")
    assert list(read_folder(tmp_path).modules()) == []


def test_missing_files_are_those_that_are_not_there() -> None:
    assert of("pipecat_keys").missing == tuple(Missing)
    assert of("fastapi_healthy").missing == (Missing.SERVER, Missing.TESTS, Missing.GUIDE)
