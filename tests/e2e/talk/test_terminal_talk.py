"""`voicecore talk` on a terminal that tmux draws: typing and the screen."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.standins.background import in_background
from tests.standins.phone.accounts import account
from tests.standins.soundcard import SoundCard
from tests.standins.talk.phone_server import PhoneServerStandIn
from tests.standins.talk.session_server import KEY, AgentStandIn
from tests.standins.terminal import Terminal
from voicecore.console.errors import ExitCode

QUESTION = Path(__file__).parents[3] / "voicecore/samples/what-time-is-it.wav"
ENV = {"SESSION_API_KEY": KEY}


def talk(
    agent: AgentStandIn | PhoneServerStandIn,
    folder: Path,
    *arguments: str,
    **env: str,
) -> AbstractContextManager[Terminal]:
    argv = [sys.executable, "-m", "voicecore", "talk", "--url", agent.url, *arguments]
    return Terminal.running(argv, folder, {**ENV, **env}, 80, 24)


def test_typed_line_stays_whole_while_the_agent_speaks(tmp_path: Path) -> None:
    greeting = "Hello, I am an agent of the verbose kind, and I go on until you have had enough."
    with (
        in_background(AgentStandIn(greeting=greeting, reply_ms=1500)) as agent,
        talk(agent, tmp_path, "--text") as terminal,
    ):
        terminal.shows("Enter sends, Ctrl-D ends the call")
        terminal.types("how arre")
        terminal.shows("you      how arre", "Hello, I am an agent")
        terminal.presses("BSpace", "BSpace")
        terminal.types("e you")
        terminal.presses("Home")
        terminal.types("Well, ")
        terminal.presses("Enter")
        terminal.shows("agent    You typed: Well, how are you")
        terminal.types("and then")
        screen = terminal.shows("you      and then", "VAD")  # the first answer is over
        assert screen.splitlines()[-1] == "you      and then"
        assert max(map(len, screen.splitlines())) < 80
        terminal.presses("Enter", "C-d")
        assert terminal.ends() == ExitCode.OK
        assert agent.heard[0].texts == ["Well, how are you", "and then"]
        assert agent.stopped == [agent.heard[0].session]
        lines = terminal.screen().splitlines()
        assert [line for line in lines if line.startswith("you")] == [
            "you      Well, how are you",
            "you      and then",
        ]
        assert any(line.startswith("2 turns · median") for line in lines)


def test_ctrl_c_at_the_prompt_hangs_up(tmp_path: Path) -> None:
    with in_background(AgentStandIn()) as agent, talk(agent, tmp_path, "--text") as terminal:
        terminal.shows("connected", "Enter sends")
        terminal.types("half a li")
        terminal.presses("C-c")
        assert terminal.ends() == ExitCode.INTERRUPTED
        assert agent.heard[0].texts == []
        assert agent.stopped == [agent.heard[0].session]


def test_prints_json_while_lines_are_typed(tmp_path: Path) -> None:
    command = f"{sys.executable} -m voicecore talk --text --json --url"
    with (
        in_background(AgentStandIn(reply_ms=100)) as agent,
        Terminal.running(
            ["sh", "-c", f"{command} {agent.url} > events"], tmp_path, ENV
        ) as terminal,
    ):
        terminal.shows("Enter sends")
        terminal.types("hello")
        terminal.presses("Enter", "C-d")
        assert terminal.ends() == ExitCode.OK
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [e["text"] for e in events if "text" in e] == ["hello", "You typed: hello"]
    assert events[-1]["event"] == "ended"


def test_piped_output_is_plain(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "voicecore", "talk", "--text", "--url"]
    with in_background(AgentStandIn(reply_ms=100)) as agent:
        result = subprocess.run(
            [*argv, agent.url], input="hello\n", cwd=tmp_path, env={**ENV, "PATH": ""},
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert result.returncode == ExitCode.OK
    assert "\x1b" not in result.stdout + result.stderr
    assert "agent    You typed: hello" in result.stderr


@pytest.fixture
def card(tmp_path: Path) -> Iterator[SoundCard]:
    with SoundCard.plugged_in(tmp_path) as card:
        yield card


def test_screen_of_a_spoken_call(card: SoundCard, tmp_path: Path) -> None:
    devices = {name: card.env[name] for name in ("XDG_RUNTIME_DIR", "PULSE_SERVER")}
    with (
        in_background(AgentStandIn(reply_ms=1200)) as agent,
        # The stand-in's voice is a tone: against it, an echo canceller lets no speech through.
        # Some shells export the size of the window at their start.
        talk(agent, tmp_path, "--no-aec", COLUMNS="80", LINES="24", **devices) as terminal,
    ):
        terminal.shows("connected", "q or Ctrl-C hangs up")
        assert card.speak(QUESTION).wait(60) == 0
        picture = ("agent    I heard an utterance", "1 turn · median", "q or Ctrl-C hangs up")
        screen = terminal.shows(*picture, top="voicecore talk  http://127.0.0.1:").splitlines()
        assert screen[-1].startswith("q or Ctrl-C hangs up")
        assert [line for line in screen if line.startswith("voicecore talk")] == screen[:1]
        assert max(map(len, screen)) <= 80

        terminal.resizes(50, 12)
        assert card.speak(QUESTION).wait(60) == 0
        # Between two refreshes the screen is empty for a moment.
        screen = terminal.shows("2 turns", top="voicecore talk  http").splitlines()
        assert len(screen) <= 12
        assert screen[0].split()[-2] == "connected"  # and the clock: the title is cut

        terminal.presses("q")
        assert terminal.ends() == ExitCode.OK
        assert agent.stopped == [agent.heard[0].session]


def test_screen_of_a_telephone_call(card: SoundCard, tmp_path: Path) -> None:
    devices = {name: card.env[name] for name in ("XDG_RUNTIME_DIR", "PULSE_SERVER")}
    env = {**account("twilio"), **devices, "COLUMNS": "80", "LINES": "24"}
    with (
        in_background(PhoneServerStandIn(reply_ms=1200)) as server,
        talk(server, tmp_path, "--phone", "twilio", "--no-aec", **env) as terminal,
    ):
        title = "voicecore talk  http://127.0.0.1:"
        terminal.shows("connected", "q or Ctrl-C hangs up · 0-9 * # are keys", top=title)
        terminal.shows("agent    spoke for 0.4 s")
        assert card.speak(QUESTION).wait(60) == 0
        terminal.shows("you      spoke for", "agent    spoke for 1.2 s", "1 turn · median")
        terminal.types("5#")
        terminal.shows("agent    spoke for 0.2 s")
        terminal.presses("q")
        assert terminal.ends() == ExitCode.OK
    assert [event["dtmf"]["digit"] for event in server.events("dtmf")] == ["5", "#"]
    assert len(server.events("stop")) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--text", "--url", "localhost:7860"], 2, "voicecore talk --url http://localhost:7860"),
        (["--input", "a.wav", "--record", "a.wav"], 2, "need different files"),
        (["--text", "--url", "http://127.0.0.1:9", "--api-key-env", "NOPE"], 1,
         "NOPE is not in the environment.\n"),
        (["--text", "--project", "file"], 3, "There is no voicecore.toml"),
    ],
)  # fmt: skip
def test_reports_mistakes(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    (tmp_path / "file").write_text("")
    result = subprocess.run(
        [sys.executable, "-m", "voicecore", "talk", *arguments], cwd=tmp_path, env={"PATH": ""},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (result.returncode, message in result.stderr) == (code, True), result.stderr
