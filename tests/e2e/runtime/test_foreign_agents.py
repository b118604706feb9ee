"""Agents in the shapes of public samples run in the local runtime, as they are."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.ports import free_port
from tests.standins.runtime.runtime_lab import (
    ARN,
    REGION,
    RuntimeLab,
    new_session,
)
from voicecore.local.environments import agent_command, agent_spec
from voicecore.local.runtime import LocalRuntime, RuntimeSettings
from voicecore.local.sessions.events import RuntimeEvent
from voicecore.project.project import Project, load_project

AGENTS = Path(__file__).parents[2] / "foreign_agents"


def adopted(root: Path, agent: str, command: str, port: int) -> Project:
    """Make a project of a copy of the agent."""
    shutil.copytree(AGENTS / agent, root, dirs_exist_ok=True)
    for program in root.glob("*.py"):
        program.write_text(program.read_text().replace("\napp.run()", f"\napp.run({port})"))
    (root / "voicecore.toml").write_text(
        'name = "mine"\ntransports = []\npipeline = "custom"\nregion = "us-east-1"\n'
        f'[agent]\nfolder = "."\ncommand = "{command}"\nport = {port}\n'
    )
    return load_project(root)


@asynccontextmanager
async def running(project: Project) -> AsyncIterator[RuntimeLab]:
    """Run the project's agent with the packages of these tests."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    events: list[RuntimeEvent] = []
    _, own_port = agent_command(project)
    settings = RuntimeSettings(
        root=project.root, arn=ARN, region=REGION, port=free_port(), agent_port=own_port
    )
    async with LocalRuntime(settings, lambda: agent_spec(project, env), events.append) as runtime:
        yield RuntimeLab(runtime, project.root, events)


async def say(here: RuntimeLab, session: str, **payload: Any) -> str:
    answer = await here.invoke(json.dumps(payload).encode(), session)
    return (await asyncio.to_thread(answer["response"].read)).decode()


def test_sdk_app_gets_a_port_for_each_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(project) as here:
            one, two = new_session(), new_session()
            said = await asyncio.gather(say(here, one, prompt="hi"), say(here, two))
            assert [json.loads(text) for text in said] == [
                {"said": "hi", "session": one},
                {"said": "nothing", "session": two},
            ]
            assert len({session.pid for session in here.runtime.snapshot().sessions}) == 2

    project = adopted(tmp_path, "sdk_entrypoint", "python agent.py", 8080)
    asyncio.run(main())


def test_sdk_websocket_in_a_folder_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(project) as here:
            session = new_session()
            async with here.connect(session) as socket:
                await socket.send_json("hello")
                assert await socket.receive_json() == {"heard": "hello", "session": session}

    project = adopted(tmp_path, "sdk_websocket", "python src/agent.py", 8080)
    asyncio.run(main())


def test_program_with_one_port_runs_one_session_at_a_time(tmp_path: Path) -> None:
    """The sample starts its own server when it is imported, so uvicorn cannot serve it."""

    async def main() -> None:
        async with running(project) as here:
            one, two = new_session(), new_session()
            assert await say(here, one, prompt="a") == 'data: {"word": "a"}\n\n'
            with pytest.raises(ClientError, match="maxVms"):
                await here.invoke(b"{}", two)
            assert "so one session runs at a time" in str(here.events[-1].hint)
            await here.stop(one)
            await here.until(lambda: not here.sessions())
            assert '"word": "c"' in await say(here, two, prompt="c")

    port = free_port()  # 8080 may be in use on this machine
    project = adopted(tmp_path, "sdk_streaming", "python my_agent.py", port)
    asyncio.run(main())
