"""Generated agents on platform V2, restored by the local runtime: no capture is named."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.generated.projects import Kind
from tests.ports import free_port
from tests.standins.runtime.runtime_lab import ARN, REGION, RuntimeLab, new_session
from voicecore.local.environments import agent_spec
from voicecore.local.runtime import LocalRuntime, RuntimeSettings
from voicecore.local.sessions.events import RuntimeEvent
from voicecore.project.project import load_project

# No AWS account: the conversation begins, and its services cannot be reached.
OFFLINE = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "none"}


def listening(pid: int | None) -> list[str]:
    """Return the addresses at which a process listens: of a fork, not those of its snapshot."""
    sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    found = [line.split()[3] for line in sockets.splitlines() if f"pid={pid}," in line]
    assert found
    return found


@pytest.mark.parametrize(
    ("pipeline", "restored"),
    [
        ("nova-sonic", "sessions are forks of it"),
        ("offline", "of libraries"),  # Whisper's threads, which no fork would have
    ],
)
def test_sessions_restore_from_snapshot_without_captures(
    make: Callable[[Kind], Path], tmp_path: Path, pipeline: str, restored: str
) -> None:
    project = load_project(make(Kind("websocket", pipeline)))
    spec = agent_spec(project, {**os.environ, **OFFLINE}, "v2")
    events: list[RuntimeEvent] = []
    settings = RuntimeSettings(
        root=tmp_path, arn=ARN, region=REGION, port=free_port(), platform="v2", start_limit=120
    )

    async def main() -> None:
        async with LocalRuntime(settings, lambda: spec, events.append) as runtime:
            here = RuntimeLab(runtime, tmp_path, events)
            await runtime.ready()
            assert restored in here.texts("ready")[0]
            session = new_session()
            async with here.connect(session) as socket:
                said = await socket.receive()
                assert said.type is aiohttp.WSMsgType.BINARY
                [log] = runtime.logs.glob(f"*/*/*/[[]runtime-logs-{session}]*")
                await here.until(lambda: '"session_started"' in log.read_text())
                [status] = runtime.snapshot().sessions
                for address in listening(status.pid):
                    assert address.startswith("127.0.0.1:")
                    async with aiohttp.ClientSession() as http:
                        assert (await http.get(f"http://{address}/ping")).status == 403
            assert here.texts("advice") == []

    asyncio.run(main())
