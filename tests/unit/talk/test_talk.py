"""`voicecore talk` as a process against a stand-in: files, typing, signals, a terminal."""

import asyncio
import json
import os
import pty
import select
import signal
import sys
import termios
import wave
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.standins.talk.session_server import KEY, AgentStandIn, tone
from voicecore.talk.audio import pcm

pytestmark = pytest.mark.slow  # most start processes

QUESTION_MS = 730


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(3200) + tone(QUESTION_MS, 300, 8000) + bytes(3200))
    return path


class Talk:
    """A running `voicecore talk`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []

    @classmethod
    async def start(
        cls, agent: AgentStandIn, folder: Path, *arguments: str, **options: Any
    ) -> "Talk":
        argv = [sys.executable, "-m", "voicecore", "talk", "--url", agent.url, *arguments]
        env = {**os.environ, "SESSION_API_KEY": KEY, **options.pop("env", {})}
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, env=env, **{**pipes, **options}
        )
        return cls(process)

    async def until(self, event: str) -> dict[str, Any]:
        """Read JSON events until the next of this name."""
        assert self.process.stdout
        async with asyncio.timeout(60):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1].get("event") == event:
                    return self.events[-1]
        raise AssertionError(f"no {event} in {self.events}: {await self.errors()}")

    async def errors(self) -> str:
        assert self.process.stderr
        return (await self.process.stderr.read()).decode()

    async def end(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


async def eventually(condition: Callable[[], object]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("60 s have passed")


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def sound_in(path: Path) -> tuple[int, np.ndarray[Any, Any]]:
    with wave.open(str(path)) as file:
        samples = pcm.to_array(file.readframes(file.getnframes()))
        return file.getframerate(), samples.reshape(-1, file.getnchannels()).astype(float)


def test_speaks_files_and_writes_answers(tmp_path: Path, question: Path) -> None:
    async def test() -> None:
        async with AgentStandIn(greeting="Hello.", reply_ms=400) as agent:
            talk = await Talk.start(
                agent, tmp_path, "--json", "--input", str(question), "--input", str(question),
                "--output", "y.wav", "--record", "c.wav",
            )  # fmt: skip
            ended = await talk.until("ended")
            assert await talk.end() == 0
            assert agent.stopped == [agent.heard[0].session]
        said = [(e["event"], e.get("text")) for e in talk.events if "text" in e]
        heard = f"an utterance of {QUESTION_MS // 20 * 20} ms"
        assert [kind for kind, _ in said] == ["agent_said"] + ["user_said", "agent_said"] * 2
        assert said[0][1] == "Hello."
        assert abs(int(str(said[1][1]).split()[3]) - QUESTION_MS) <= 40, heard
        assert (ended["turns"], ended["by"]) == (2, "script")
        # The agent waits for 300 ms of silence and thinks for 60 ms: the rest is ours.
        latencies = [e for e in talk.events if e["event"] == "latency"]
        assert all(e["total_ms"] > 300 for e in latencies)
        assert all(
            {"VAD", "LLM", "transport"} == {s["key"] for s in e["stages"]} for e in latencies
        )
        rate, output = sound_in(tmp_path / "y.wav")
        assert rate == 24_000
        loud = np.abs(output[:, 0]) > 1000
        assert np.count_nonzero(loud) / 24_000 == pytest.approx(3 * 0.4 * 0.93, abs=0.06)
        _, both = sound_in(tmp_path / "c.wav")
        # The sides take turns: where one channel is loud, the other is silent.
        left, right = (np.abs(both[: len(both) // 480 * 480, side]).reshape(-1, 480).max(axis=1)
                       for side in (0, 1))  # fmt: skip
        assert not np.any((left > 1000) & (right > 1000))
        assert np.count_nonzero(left > 1000) * 0.02 == pytest.approx(2 * 0.73, abs=0.1)

    run(test)


def test_typed_lines_are_answered_one_by_one(tmp_path: Path) -> None:
    async def test() -> None:
        async with AgentStandIn(reply_ms=100) as agent:
            talk = await Talk.start(agent, tmp_path, "--text")
            _, errors = await talk.process.communicate(b"hel\0lo\n\n\0\nwhat time is it")
            assert talk.process.returncode == 0
            assert agent.heard[0].texts == ["hello", "what time is it"]
        shown = errors.decode().splitlines()
        assert shown[:3] == ["connected", "you      hello", "agent    You typed: hello"]
        assert "you      what time is it" in shown
        assert shown[-1].startswith("2 turns · median ")

    run(test)


def test_question_survives_a_broken_connection(tmp_path: Path, question: Path) -> None:
    async def test() -> None:
        async with AgentStandIn(greeting="Hi.", reply_ms=100) as agent:
            talk = await Talk.start(agent, tmp_path, "--json", "--input", str(question))
            await talk.until("agent_said")
            await eventually(lambda: any(agent.heard[0].audio[-6400:]))
            await agent.cut()
            await talk.until("ended")
            assert await talk.end() == 0
        said = [e for e in talk.events if e["event"] == "user_said"]
        assert len(said) == 1
        assert abs(int(said[0]["text"].split()[3]) - QUESTION_MS) <= 40

    run(test)


@pytest.mark.parametrize("moment", ["starting", "connected", "speaking"])
def test_ctrl_c_stops_the_session(tmp_path: Path, question: Path, moment: str) -> None:
    async def test() -> None:
        agent = AgentStandIn("Hello, hello, hello.", reply_ms=3000, ready=moment != "starting")
        async with agent:
            arguments = ["--json", "--input", str(question), "--record", "c.wav"]
            talk = await Talk.start(agent, tmp_path, *arguments)
            if moment == "starting":
                await eventually(lambda: agent.heard)
            else:
                await talk.until("connected")
            if moment == "speaking":
                await eventually(lambda: len(agent.heard[0].audio) > 16_000)  # half a second
            talk.process.send_signal(signal.SIGINT)
            assert await talk.end() == 130
            assert agent.stopped == [agent.heard[0].session]
        if moment == "speaking":
            _, both = sound_in(tmp_path / "c.wav")
            assert len(both) > 0.3 * 24_000

    run(test)


@pytest.mark.parametrize(
    ("agent", "arguments", "env", "code", "message"),
    [
        (
            AgentStandIn(answers=True),
            ["--input", "letter.wav"],
            {},
            2,
            "not a sound file",
        ),
        (
            AgentStandIn(),
            ["--text"],
            {"SESSION_API_KEY": "wrong"},
            1,
            "refused the key (401)",
        ),
        (
            AgentStandIn(),
            ["--text"],
            {"SESSION_API_KEY": ""},
            1,
            "SESSION_API_KEY is not in the environment",
        ),
        (AgentStandIn(), ["--text", "--input", "letter.wav"], {}, 2, "choose one"),
        (AgentStandIn(), ["--transport", "pigeon"], {}, 2, "does not speak 'pigeon'"),
        (
            AgentStandIn(),
            ["--text", "--record", "no/such/folder.wav"],
            {},
            2,
            "cannot be written",
        ),
    ],
)
def test_reports_mistakes(
    tmp_path: Path,
    agent: AgentStandIn,
    arguments: list[str],
    env: dict[str, str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam")

    async def test() -> None:
        async with agent:
            talk = await Talk.start(agent, tmp_path, *arguments, env=env)
            _, errors = await talk.process.communicate(b"hi\n")
            assert (talk.process.returncode, message in errors.decode()) == (code, True), errors

    run(test)


def test_fails_when_the_agent_hangs_up_early(tmp_path: Path, question: Path) -> None:
    async def test() -> None:
        async with AgentStandIn(greeting="Goodbye.") as agent:
            talk = await Talk.start(agent, tmp_path, "--json", "--input", str(question))
            await talk.until("connected")
            await agent.report("Bedrock cannot be reached")
            await talk.until("error")
            await agent.cut(code=1000)
            printed, _ = await talk.process.communicate()
            assert b"was said. Its last error: Bedrock cannot be reached" in printed
            assert await talk.end() == 1

    run(test)


def terminal() -> tuple[int, int]:
    """Return both ends of a terminal of 80 columns."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    return master, slave


async def start_on(
    master: int, slave: int, agent: AgentStandIn, folder: Path, *arguments: str
) -> tuple[Talk, bytearray]:
    """Start a call on a terminal; return it, and what it writes there."""
    ends = {"stdin": slave, "stdout": slave, "stderr": slave}
    talk = await Talk.start(agent, folder, *arguments, **ends, env={"TERM": "xterm-256color"})
    written = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: written.extend(os.read(master, 65536)))
    return talk, written


def test_draws_a_screen_on_a_terminal(tmp_path: Path, question: Path) -> None:
    async def test() -> None:
        async with AgentStandIn(greeting="Hello.", reply_ms=600) as agent:
            master, slave = terminal()
            before = termios.tcgetattr(slave)
            talk, written = await start_on(master, slave, agent, tmp_path, "--input", str(question))
            assert await talk.end() == 0
            await eventually(lambda: not select.select([master], [], [], 0)[0])  # all is read
            asyncio.get_running_loop().remove_reader(master)
            assert termios.tcgetattr(slave) == before
        picture = written.decode()
        for part in ("voicecore talk", "connected", "Hello.", "▇", "VAD", "1 turn", "Ctrl-C"):
            assert part in picture, part
        assert picture.rstrip().endswith("00:0" + picture.rstrip()[-1])
        assert "\x1b[?25h" in picture  # the cursor is visible again

    run(test)


def test_prompt_does_not_ask_where_the_cursor_is(tmp_path: Path) -> None:
    """A late answer made prompt_toolkit scroll away what had been printed meanwhile."""

    async def test() -> None:
        async with AgentStandIn() as agent:
            master, slave = terminal()
            talk, written = await start_on(master, slave, agent, tmp_path, "--text")
            await eventually(lambda: b"connected" in written and b"Enter sends" in written)
            os.write(master, b"\x04")
            assert await talk.end() == 0
            asyncio.get_running_loop().remove_reader(master)
        assert b"\x1b[6n" not in written

    run(test)
