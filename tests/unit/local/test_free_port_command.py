"""Programs that always listen on one port, and the commands that start them at another."""

from pathlib import Path

import pytest

from voicecore.local.free_port_command import free_port_command
from voicecore.project.python_code import read_module

SDK = """\
from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()

if __name__ == "__main__":
    app.run(log_level="info")
"""
RUN = 'app.run(log_level="info")'
API = "import uvicorn\nfrom fastapi import FastAPI\n\napi = FastAPI()\n"
UVICORN = ("-m", "uvicorn")
AT_PORT = ("--host", "127.0.0.1", "--port", "$PORT", "--no-access-log")


@pytest.mark.parametrize(
    ("source", "app"),
    [
        (SDK, "app"),
        (SDK.replace("app", "agent_app"), "agent_app"),
        (f"import fastapi\n{API}if '__main__' == __name__:\n  uvicorn.run(api)", "api"),
        (
            API.replace("import uvicorn\n", "") + 'if __name__ == "__main__":\n'
            '    import uvicorn\n    uvicorn.run("agent:api", host="0.0.0.0")',
            "api",
        ),
        (
            "from starlette.applications import Starlette\nimport uvicorn\napi = Starlette()\n"
            'if __name__ == "__main__":\n    uvicorn.run(api)\n',
            "api",
        ),
        (SDK.replace("\nif", "\ndef main():\n    app.run()\n\nif").replace(RUN, "main()"), "app"),
        (SDK.replace("    app.run", "    load_keys()\n    app.run"), None),
        (SDK.replace(RUN, "with keys():\n        app.run()"), None),
        (
            SDK.replace("\nif", "\ndef main():\n    load()\n    app.run()\n\nif").replace(
                RUN, "main()"
            ),
            None,
        ),
        (SDK.replace(RUN, "app.run()").replace('if __name__ == "__main__":\n    ', ""), None),
        (SDK + "\napp.run()\n", None),
        ("app = make()\nif __name__ == '__main__':\n    app.run()\n", None),
        (f"{API}if __name__ == '__main__':\n    uvicorn.run('other:api')\n", None),
        (f"{API}if __name__ == '__main__':\n    uvicorn.run(make())\n", None),
        (f"{API}def main():\n    uvicorn.run(make(), port=8080)\n\nmain()\n", None),
        (API, None),
        ("", None),
    ],
)
def test_app_is_found_only_if_its_program_does_nothing_else(source: str, app: str | None) -> None:
    module = read_module("agent.py", source)
    assert module
    assert (module.served_app or None) == app


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python agent.py", ("python", *UVICORN, "agent:app", "--app-dir", ".", *AT_PORT)),
        (
            "/venv/bin/python src/agent.py",
            ("/venv/bin/python", *UVICORN, "agent:app", "--app-dir", "src", *AT_PORT),
        ),
        (
            "opentelemetry-instrument python -m src.agent",
            (
                *("opentelemetry-instrument", "python", *UVICORN),
                *("src.agent:app", "--app-dir", ".", *AT_PORT),
            ),
        ),
        ("uvicorn agent:app --port 8080", ("uvicorn", "agent:app", "--port", "$PORT")),
        (
            "uvicorn agent:app --host 0.0.0.0 --port 8080 --reload",
            ("uvicorn", "agent:app", "--host", "127.0.0.1", "--port", "$PORT", "--reload"),
        ),
        ("uvicorn agent:app --port 9000", None),
        ("python agent.py --verbose", None),
        ("python other.py", None),
        ("python broken.py", None),
        ("node agent.js", None),
    ],
)
def test_command_for_a_free_port(
    tmp_path: Path, command: str, expected: tuple[str, ...] | None
) -> None:
    (tmp_path / "src").mkdir()
    for path in ("agent.py", "src/agent.py"):
        (tmp_path / path).write_text(SDK)
    (tmp_path / "broken.py").write_text("def")
    assert free_port_command(tmp_path, tuple(command.split()), 8080) == expected
