"""Platform V2: sessions continue one frozen agent, and captured state is named by line of code."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.standins.runtime.runtime_lab import APP, RuntimeLab, alive, new_session, runtime_lab
from voicecore.local.in_agent.clocks import JUMP_SECONDS

CAPTURING = APP.with_name("capturing_agent.py")
linux = pytest.mark.skipif(sys.platform != "linux", reason="forks sessions on Linux only")

# Use of captured state to the beginning of what the runtime says of it.
NAMED = {
    "random": "`random` gives the same numbers to all sessions: app.py:",
    "random instance": "`random` gives the same numbers to all sessions: app.py:",
    "numpy": "`numpy.random` gives the same numbers to all sessions: app.py:",
    "numpy generator": "`numpy.random` gives the same numbers to all sessions: app.py:",
}
FRESH = ("random reseeded", "system random", "pid", "port", "udp port")


def line_of(code: str) -> int:
    return 1 + next(n for n, line in enumerate(CAPTURING.read_text().splitlines()) if code in line)


async def use(here: RuntimeLab, session: str, name: str) -> Any:
    return await here.ask(f'{{"use": "{name}", "text": "{session}"}}'.encode(), session)


@pytest.mark.parametrize("mode", [pytest.param("", marks=linux, id="forks"), "thread"])
def test_captured_state_is_shared_and_named(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, mode, CAPTURING, platform="v2") as here:
            await here.runtime.ready()
            [ready] = here.texts("ready")
            assert ("(poller, " if mode else "sessions are forks of it") in ready
            one, other = new_session(), new_session()
            for name, said in NAMED.items():
                first, second = await use(here, one, name), await use(here, other, name)
                assert first == second, name
                line = line_of(f'"{name}": lambda')
                assert [text for text in here.texts("advice") if f"{said}{line} " in text], name
            for name in FRESH:
                assert await use(here, one, name) != await use(here, other, name), name
            for session in (one, other):
                assert "ExpiredTokenException" in await use(here, session, "secret")
                assert await use(here, session, "clock") > JUMP_SECONDS
                # Clients of boto3, threads and socket pairs work in a restored microVM too.
                assert await use(here, session, "client") is True
                assert await use(here, session, "fresh secret") == "AWS4start"
                assert await use(here, session, "thread pool") == "asyncio_0"
                assert await use(here, session, "socket pair") == session
                await use(here, session, "random seeded on purpose")
            advice = [text for text in here.texts("advice") if "app.py:" in text]
            assert f"app.py:{line_of('SECRET = KEYS')} reads them" in advice[-1]
            assert len(advice) == len(NAMED) + 1
            for session in (one, other):
                [log] = here.runtime.logs.glob(f"*/*/*/[[]runtime-logs-{session}]*")
                assert log.read_text().count('"captured_at"') == len(advice)

    asyncio.run(main())


@linux
def test_sessions_of_a_snapshot_end_as_any_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, platform="v2") as here:
            ended = here.texts
            crashing, stopped, killed = new_session(), new_session(), new_session()
            pids = {name: (await here.ask(session=name))["pid"] for name in (stopped, killed)}
            with pytest.raises(Exception, match="out of luck"):
                await here.invoke(b'{"do": "die"}', crashing)
            await here.until(lambda: ended("ended"))
            assert ended("ended") == ["The agent ended with exit code 3: RuntimeError: out of luck"]
            await here.stop(stopped)
            await here.until(lambda: "stopped" in ended("ended"))
            assert not alive(pids[stopped])
            os.kill(pids[killed], signal.SIGKILL)
            await here.until(lambda: "signal 9" in ended("ended")[-1])
            assert (await here.ask())["greeting"] == "first version"

    asyncio.run(main())


@linux
def test_session_keeps_its_version_when_a_new_snapshot_replaces_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        lab = runtime_lab(tmp_path, platform="v2", watch=tmp_path / "agent")
        async with lab as here, here.connect() as socket:
            [old] = here.runtime.snapshot().sessions
            assert old.pid
            frozen = parent_of(old.pid)
            app = tmp_path / "agent" / "app.py"
            second = app.read_text().replace("first version", "second version")
            # The watch starts a moment after the runtime: save again if it missed the first time.
            while not here.texts("reloaded"):
                app.write_text(second)
                await here.wait(lambda: here.texts("reloaded"), 5)
            assert (await here.ask(session=old.id))["greeting"] == "first version"
            assert (await here.ask())["greeting"] == "second version"
            assert alive(frozen)  # it reports the end of its session
            await here.stop(old.id)
            closed = await socket.receive()
            assert (closed.data, closed.extra) == (1001, "session ended: stopped")
            await here.until(lambda: not alive(frozen))

    asyncio.run(main())


def test_runtime_stops_while_a_session_waits_for_the_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "silent", platform="v2", start_limit=3600) as here:
            waiting = asyncio.create_task(here.invoke())
            await here.until(lambda: here.runtime.snapshot().sessions)
        assert here.texts("ended") == ["the runtime stopped"]
        await asyncio.wait({waiting})
        assert waiting.exception()

    asyncio.run(main())


@linux
def test_sessions_end_with_a_killed_snapshot_and_the_next_boots_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, platform="v2") as here, here.connect() as socket:
            [session] = here.runtime.snapshot().sessions
            assert session.pid
            os.kill(parent_of(session.pid), signal.SIGKILL)
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            await here.until(lambda: not here.sessions() and here.texts("failed"))
            assert not alive(session.pid)
            assert (await here.ask())["greeting"] == "first version"

    asyncio.run(main())


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)
    assert found
    return int(found[1])
