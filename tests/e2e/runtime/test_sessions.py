"""Sessions start and end as in AgentCore: /ping, time limits, crashes, reload, no process left."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.standins.runtime.runtime_lab import APP, alive, new_session, runtime_lab
from voicecore.local.limits import IDLE_TIMEOUT, MAX_LIFETIME, STREAM_SECONDS
from voicecore.local.processes.ports import PortInUse
from voicecore.local.sessions.agent_process import AgentCrashed, AgentStartTimeout
from voicecore.local.sessions.events import SessionStatus
from voicecore.local.sessions.lifecycle import Lifecycle

IDLE = "idle timeout"
LIFETIME = "maximum lifetime"


def pid_of(status: SessionStatus) -> int:
    assert status.pid
    return status.pid


@pytest.mark.parametrize(
    ("mode", "reason", "advice"),
    [
        ("", IDLE, None),
        ("busy", LIFETIME, None),
        ("busy-bare", IDLE, "without time_of_last_update"),
        ("busy-text", IDLE, "as text"),
        ("stamp-now", LIFETIME, None),
    ],
)
def test_answers_to_ping_decide_how_long_a_session_lives(
    tmp_path: Path, mode: str, reason: str, advice: str | None
) -> None:
    async def main() -> None:
        # In real time the idle timeout takes 1 s, the lifetime 3 s.
        lifecycle = Lifecycle(idle_timeout=900, max_lifetime=2700)
        async with runtime_lab(tmp_path, mode, time_scale=900, lifecycle=lifecycle) as here:
            pid = (await here.ask())["pid"]
            await here.until(lambda: here.texts("ended"))
            assert here.texts("ended") == [reason]
            assert [
                text for text in here.texts("advice") if advice and advice in text
            ] or not advice
            assert not alive(pid)

    asyncio.run(main())


def test_frames_and_control_frames_keep_a_session_alive(tmp_path: Path) -> None:
    async def main() -> None:
        # In real time the idle timeout takes 1 s.
        async with runtime_lab(tmp_path, time_scale=900) as here, here.connect() as socket:
            while here.runtime.snapshot().sessions[0].age < 2 * IDLE_TIMEOUT:
                await socket.ping()
                await asyncio.sleep(0.05)
            assert len(here.sessions()) == 1
            ended = await socket.receive()
            assert (ended.data, ended.extra) == (1001, "session ended: idle timeout")
            await here.until(lambda: not here.sessions())

    asyncio.run(main())


def test_open_request_keeps_a_session_alive(tmp_path: Path) -> None:
    async def main() -> None:
        short = Lifecycle(idle_timeout=60)  # 0.2 s; the request takes 240 s of the clock
        async with runtime_lab(tmp_path, time_scale=300, lifecycle=short) as here:
            answer = await here.ask(b'{"do": "wait", "seconds": 0.8}')
            assert answer["payload"]["seconds"] == 0.8
            await here.until(lambda: here.texts("ended") == [IDLE])

    asyncio.run(main())


def test_request_times_out_after_15_minutes(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, time_scale=3000) as here:
            with pytest.raises(Exception, match="within 15 minutes") as error:
                await here.invoke(b'{"do": "wait", "seconds": 5}')
            assert type(error.value).__name__ == "RuntimeClientError"

    asyncio.run(main())


def test_stream_is_cut_after_60_minutes_and_the_session_continues(tmp_path: Path) -> None:
    async def main() -> None:
        never_idle = Lifecycle(idle_timeout=MAX_LIFETIME)  # 8 s of real time
        scale = STREAM_SECONDS / 1.0
        async with runtime_lab(tmp_path, time_scale=scale, lifecycle=never_idle) as here:
            assert here.runtime.stream_seconds == 1.0
            session, began = new_session(), time.monotonic()

            async def talk(socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
                while True:
                    await socket.send_str("pid")
                    answer = await socket.receive()
                    if answer.type is not aiohttp.WSMsgType.TEXT:
                        return answer
                    pids.add(answer.data)
                    await asyncio.sleep(0.02)

            pids: set[str] = set()
            for _ in range(2):
                async with here.connect(session) as socket:
                    cut = await talk(socket)
                    assert (cut.data, "60 minutes" in str(cut.extra)) == (1001, True)
            assert time.monotonic() - began >= 2.0
            assert len(pids) == 1
            stream = b'{"do": "stream", "events": 400, "pause": 0.01}'
            answer = await here.invoke(stream)
            with pytest.raises(Exception, match=r"(?i)broken|incomplete|reset"):
                await asyncio.to_thread(answer["response"].read)

    asyncio.run(main())


def test_agent_that_stops_answering_pings_is_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "stuck", time_scale=0.001) as here:
            session = new_session()
            async with here.connect(session) as socket:
                await here.invoke(b'{"do": "stick"}', session)
                ended = await socket.receive(timeout=60)
                assert (ended.data, "no answer to /ping" in str(ended.extra)) == (1011, True)

    asyncio.run(main())


def test_stopped_session_refuses_requests_until_it_has_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "deaf") as here:
            session = new_session()
            async with here.connect(session) as socket:
                pid = pid_of(here.runtime.snapshot().sessions[0])
                answer = await here.stop(session)
                assert (answer["statusCode"], answer["runtimeSessionId"]) == (200, session)
                closed = await socket.receive()
                assert (closed.data, closed.extra) == (1001, "session ended: stopped")
            assert here.runtime.snapshot().sessions[0].state == "Stopping"
            for call in (here.invoke(session=session), here.stop(session)):
                with pytest.raises(Exception, match="being terminated") as error:
                    await call
                assert type(error.value).__name__ == "RetryableConflictException"
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with here.connect(session):
                    pass
            assert refused.value.status == 409
            os.kill(pid, signal.SIGKILL)  # instead of waiting for the 15 s of grace
            await here.until(lambda: not here.sessions())

    asyncio.run(main())


def test_crash_at_import_reports_its_last_line_and_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "crash") as here:
            with pytest.raises(AgentCrashed, match="No module named 'a_module_that") as crash:
                await here.runtime.ready()
            (log,) = here.runtime.logs.glob("*/*/*/*")
            assert "Traceback" in log.read_text()
            assert crash.value.hint == f"Log: {log}"
            assert here.runtime.snapshot().spare.state == "failed"
            session = new_session()
            with pytest.raises(Exception, match="No module named") as error:
                await here.invoke(session=session)
            assert type(error.value).__name__ == "RuntimeClientError"
            assert list(here.runtime.logs.glob(f"*/*/*/[[]runtime-logs-{session}]*"))
            assert here.sessions() == []

    asyncio.run(main())


def test_agent_that_never_answers_ping_times_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "silent", start_limit=0.5) as here:
            with pytest.raises(AgentStartTimeout, match=r"within 0\.5s"):
                await here.runtime.ready()
            with pytest.raises(Exception, match="Runtime initialization time exceeded"):
                await here.invoke()
            assert here.sessions() == []

    asyncio.run(main())


def test_missing_interpreter_and_used_port_are_reported(tmp_path: Path) -> None:
    async def main() -> None:
        from voicecore.local.runtime import LocalRuntime
        from voicecore.local.sessions.agent_process import AgentSpec

        async with runtime_lab(tmp_path) as here:
            spec = AgentSpec((".venv/bin/python", "app.py"), tmp_path, {})
            second = LocalRuntime(here.runtime.settings, lambda: spec)
            with pytest.raises(PortInUse, match=f"Port {here.runtime.settings.port} is in use"):
                async with second:
                    pass
        async with LocalRuntime(here.runtime.settings, lambda: spec) as runtime:
            with pytest.raises(
                AgentCrashed, match=r"Could not start the agent: .*\.venv/bin/python"
            ):
                await runtime.ready()

    asyncio.run(main())


def test_saved_file_is_used_by_the_next_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, watch=tmp_path / "agent") as here:
            await here.runtime.ready()
            old, new = new_session(), new_session()

            async def greeting(session: str) -> str:
                return (await here.ask(session=session))["greeting"]

            assert await greeting(old) == "first version"
            app = tmp_path / "agent" / "app.py"
            second = app.read_text().replace("first version", "second version")
            app.write_text(second)
            await here.until(lambda: here.texts("reloaded"))
            assert await greeting(new) == "second version"
            assert await greeting(old) == "first version"
            versions = {one.id: one.version for one in here.runtime.snapshot().sessions}
            assert versions == {old: 1, new: 2}
            app.write_text("raise SystemExit('half written')")
            await here.until(lambda: "half written" in "".join(here.texts("failed")))
            assert await greeting(old) == "first version"
            app.write_text(APP.read_text())
            await here.until(lambda: here.runtime.snapshot().spare.state == "ready")
            reloads = len(here.texts("reloaded"))
            prompts = tmp_path / "agent" / "prompts"
            prompts.mkdir()
            (prompts / "hello.md").write_text("Hi")
            await here.until(lambda: len(here.texts("reloaded")) > reloads)
            assert here.runtime.snapshot().version == 5

    asyncio.run(main())


def test_killed_agent_ends_its_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here, here.connect() as socket:
            os.kill(pid_of(here.runtime.snapshot().sessions[0]), signal.SIGKILL)
            closed = await socket.receive()
            assert closed.data == 1011
            await here.until(lambda: not here.sessions())
            assert "signal 9" in here.texts("ended")[0]

    asyncio.run(main())


def test_session_log_is_named_as_in_cloudwatch(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            await here.runtime.ready()
            session = new_session()
            async with here.connect(session) as socket:
                await socket.send_str('say {"event": "user_said", "turn": 3}')
                await socket.receive()
                await here.until(lambda: here.runtime.snapshot().sessions[0].turns == 3)
            (log,) = here.runtime.logs.glob("*/*/*/*")
            assert log.parent.relative_to(here.runtime.logs).as_posix() == time.strftime(
                "%Y/%m/%d", time.gmtime()
            )
            assert log.name.startswith(f"[runtime-logs-{session}]")
            assert log.read_text().splitlines()[0].startswith('{"event": "imported"')
            assert log.stat().st_mode & 0o077 == 0
            assert here.runtime.snapshot().lines[-1].session_id == session

    asyncio.run(main())


RUN = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from tests.standins.runtime.runtime_lab import runtime_lab

async def main():
    async with runtime_lab(Path({folder!r}), {mode!r}, platform={platform!r}) as here:
        await here.runtime.ready()
        await here.invoke()
        await here.runtime.ready()
        print("running", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def processes_of(folder: Path) -> set[int]:
    """Return the processes, children included, that run in the agent's folder."""
    found = subprocess.run(["ps", "-eo", "pid="], capture_output=True, text=True, check=True)
    pids: set[int] = set()
    for pid in map(int, found.stdout.split()):
        try:
            if Path(f"/proc/{pid}/cwd").readlink() == folder:
                pids.add(pid)
        except OSError:
            continue
    return pids


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes through /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(
    ("platform", "mode", "processes"),
    [
        ("v1", "grandchild", 4),  # a session and a spare, each with its grandchild
        ("v2", "grandchild", 4),  # the same: the frozen one cannot fork its grandchild
        ("v2", "", 2),  # a session and the frozen process that it is a fork of
    ],
)
def test_no_process_is_left_however_the_runtime_ends(
    tmp_path: Path, platform: str, mode: str, processes: int, sent: signal.Signals
) -> None:
    root = str(Path(__file__).parents[3])
    code = RUN.format(tests=root, folder=str(tmp_path), mode=mode, platform=platform)
    agent = tmp_path / "agent"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as runtime:
        assert runtime.stdout
        assert runtime.stdout.readline() == "running\n"
        assert len(processes_of(agent)) == processes
        runtime.send_signal(sent)
        runtime.wait(timeout=60)
    deadline = time.monotonic() + 60
    while processes_of(agent):
        assert time.monotonic() < deadline
        time.sleep(0.05)
