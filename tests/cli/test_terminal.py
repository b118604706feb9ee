"""`voicecore init` on a terminal of 80 by 24: its questions, and shell completion."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Voicecore
from tests.standins.terminal import Terminal
from voicecore.catalog.pipelines import GENERATED
from voicecore.catalog.transports import TRANSPORTS as REGISTRY
from voicecore.console.errors import ExitCode
from voicecore.project.known_versions import keep_known

pytestmark = pytest.mark.slow

NAME, TRANSPORTS, PIPELINE, HEARS, SPEAKS, MODEL, REGION = (
    "Project name:",
    "How do callers reach the agent?",
    "Pipeline:",
    "Service for speech to text:",
    "Service for text to speech:",
    "Service for speech to speech:",
    "AWS region to deploy to later:",
)
EMPTY_LINE = ("C-a", "C-k")
WEBSOCKET = ("--transport", "websocket")


def init(folder: Path, *arguments: str) -> AbstractContextManager[Terminal]:
    return Terminal.running([sys.executable, "-m", "voicecore", "init", *arguments], folder, {})


def test_asks_for_everything_that_is_not_given(tmp_path: Path) -> None:
    with init(tmp_path) as terminal:
        terminal.shows(f"{NAME} my-agent")
        terminal.presses(*EMPTY_LINE)
        terminal.types("Bad Name")
        terminal.presses("Enter")
        terminal.shows(f"{NAME} Bad Name", "it must be 2 or more of a-z, 0-9 and single hyphens")
        terminal.presses(*EMPTY_LINE)
        terminal.types("support-line")
        terminal.presses("Enter")
        terminal.shows(TRANSPORTS, "» [ ] WebSocket")
        terminal.presses("Space", "Down", "Space")
        terminal.shows("[x] WebSocket", "» [x] WebRTC", "[ ] Telephone")
        terminal.presses("Enter")
        terminal.shows(f"{TRANSPORTS} WebSocket, WebRTC", PIPELINE, "» Whisper")  # the default
        terminal.presses("Up")
        terminal.shows("» Transcribe", "Description: speech to text")
        terminal.presses("Enter")
        terminal.shows(HEARS, "» Amazon Transcribe", "Deepgram (needs DEEPGRAM_API_KEY")
        terminal.presses("Down", "Enter")
        terminal.shows(SPEAKS, "» Amazon Polly")
        terminal.presses("Enter")
        terminal.shows(REGION, "» us-east-1")
        terminal.presses("Down", "Enter")
        terminal.shows("cd support-line && voicecore talk")
        assert terminal.ends() == ExitCode.OK
    project = (tmp_path / "support-line/voicecore.toml").read_text()
    for answer in ('["websocket", "webrtc"]', '"cascade"', '"deepgram"', '"polly"', '"us-east-2"'):
        assert answer in project


def test_defaults_create_agent_that_needs_no_account(tmp_path: Path) -> None:
    with init(tmp_path) as terminal:
        for question in (NAME, TRANSPORTS, PIPELINE):
            terminal.shows(question)
            terminal.presses("Enter")
        assert terminal.ends() == ExitCode.OK
        assert REGION not in terminal.screen()
    assert '"offline"' in (tmp_path / "my-agent/voicecore.toml").read_text()


@pytest.mark.parametrize(
    ("flags", "first"),
    [
        (["--pipeline", "nova-sonic", "a-name", *WEBSOCKET], MODEL),
        (
            [
                "--pipeline",
                "nova-sonic",
                "a-name",
                *WEBSOCKET,
                "--speech-to-speech",
                "nova-2-sonic",
            ],
            REGION,
        ),
        (["a-name", "--pipeline", "offline"], TRANSPORTS),
        (["a-name", *WEBSOCKET, "--pipeline", "cascade", "--stt", "deepgram"], SPEAKS),
        (
            ["a-name", "--pipeline", "cascade", "--stt", "deepgram", "--tts", "polly", *WEBSOCKET],
            REGION,
        ),
        (["a-name", "--pipeline", "offline", *WEBSOCKET], "✓ a-name/"),
        (["--yes"], "✓ my-agent/"),
    ],
)
def test_does_not_ask_for_what_is_given(tmp_path: Path, flags: list[str], first: str) -> None:
    with init(tmp_path, *flags) as terminal:
        assert first in terminal.shows(first).splitlines()[0]


@pytest.mark.parametrize(
    ("flags", "question", "keys"),
    [
        ([], NAME, ["C-c"]),
        ([], NAME, [*EMPTY_LINE, "C-d"]),
        (["a-name"], TRANSPORTS, ["C-c"]),
        (["a-name", *WEBSOCKET], PIPELINE, ["C-c"]),
        (["a-name", *WEBSOCKET, "--pipeline", "cascade"], HEARS, ["C-c"]),
        (["a-name", *WEBSOCKET, "--pipeline", "nova-sonic"], MODEL, ["C-c"]),
    ],
)
def test_interrupted_question_leaves_no_files(
    tmp_path: Path, flags: list[str], question: str, keys: list[str]
) -> None:
    with init(tmp_path, *flags) as terminal:
        terminal.shows(question)
        terminal.presses(*keys)
        terminal.shows("Interrupted.")
        assert terminal.ends() == ExitCode.INTERRUPTED
    assert list(tmp_path.iterdir()) == []


def test_transports_fit_80_columns(tmp_path: Path) -> None:
    with init(tmp_path, "a-name") as terminal:
        screen = terminal.shows(TRANSPORTS, *(t.best_for for t in REGISTRY.values()))
        assert max(map(len, screen.splitlines())) < 80


def test_pipelines_fit_80_columns(tmp_path: Path) -> None:
    with init(tmp_path, "a-name", *WEBSOCKET) as terminal:
        for pipeline in GENERATED.values():
            choice = f"{pipeline.title} (needs {pipeline.needs})"
            terminal.shows(choice)
            terminal.presses("Down")
            described = terminal.shows(pipeline.summary.split()[0], pipeline.summary.split()[-1])
            assert max(map(len, described.splitlines())) < 80


class TestExistingFolder:
    @pytest.fixture
    def project(self, voicecore: Voicecore, tmp_path: Path) -> Path:
        voicecore("init", "mine", "--yes")
        (tmp_path / "mine/agent/bot.py").write_text("# my own\n")
        return tmp_path / "mine"

    def test_is_reported_before_any_question(self, project: Path) -> None:
        with init(project.parent, "mine", "--region", "us-west-2") as terminal:
            terminal.shows("voicecore init mine --region us-west-2 --force --dry-run")
            assert terminal.ends() == ExitCode.FAILED
            assert PIPELINE not in terminal.screen()

    def test_is_reported_when_its_name_is_typed(self, project: Path) -> None:
        with init(project.parent) as terminal:
            terminal.shows(NAME)
            terminal.presses(*EMPTY_LINE)
            terminal.types("mine")
            terminal.presses("Enter")
            terminal.shows("mine already exists")
            terminal.presses("C-c")
            assert terminal.ends() == ExitCode.INTERRUPTED

    @pytest.mark.parametrize(
        ("key", "code", "kept"),
        [
            ("Enter", ExitCode.FAILED, True),
            ("n", ExitCode.FAILED, True),
            ("C-c", ExitCode.INTERRUPTED, True),
            ("y", ExitCode.OK, False),
        ],
    )
    def test_is_replaced_only_after_confirmation(
        self, project: Path, key: str, code: int, kept: bool
    ) -> None:
        flags = ("--force", "--pipeline", "offline", *WEBSOCKET)
        with init(project.parent, "mine", *flags) as terminal:
            terminal.shows("-# my own", "Replace these files? (y/N)")
            terminal.presses(key)
            assert terminal.ends() == code
        assert ((project / "agent/bot.py").read_text() == "# my own\n") is kept


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x"], ExitCode.USAGE, "voicecore init my-agent"),
        ([""], ExitCode.USAGE, "'' is not valid: it must be 2 or more"),
        (["./my-agent"], ExitCode.USAGE, "Try:  voicecore init my-agent"),
        (["ok", "--pipeline", ""], ExitCode.USAGE, "'' is unknown; choose from nova-sonic"),
        (["ok", "--region", "us-east"], ExitCode.USAGE, "did you mean 'us-east-1'?"),
        (["ok", "-t", "websocket", "-t", "websocket"], ExitCode.USAGE, "lists a transport twice"),
        (["ok", "--directory", "file", "--pipeline", "cascade"], ExitCode.FAILED,
         "voicecore init ok --pipeline cascade --directory"),
        (["ok", "--directory", "/proc"], ExitCode.FAILED, "/proc/ok cannot be written"),
    ],
)  # fmt: skip
def test_rejects_invalid_arguments(
    voicecore: Voicecore, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "file").write_text("")
    directory = ["--directory", str(tmp_path / "file")] if "file" in arguments else []
    result = voicecore("init", "--yes", *arguments, *directory)
    assert result.code == code
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def complete(*words: str, cwd: Path | None = None) -> list[str]:
    """Return the completions of the last word, by the protocol of bash."""
    env = {
        **os.environ,
        "_VOICECORE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    command = Path(sys.executable).with_name("voicecore")
    shown, code = pexpect.run(str(command), env=env, withexitstatus=True, encoding="utf-8", cwd=cwd)
    assert code == 0
    return shown.split()


def test_shell_completes_commands_and_values() -> None:
    assert complete("voicecore", "") == [
        "init", "adopt", "add", "update", "eject", "dev", "talk", "call", "build", "upgrade-base",
        "deploy", "versions", "promote", "rollback", "invite", "destroy", "logs", "traces",
        "status", "sessions", "stop", "clean", "docs", "turn",
    ]  # fmt: skip
    assert complete("voicecore", "init", "--transport", "") == [
        "websocket", "webrtc", "telephony", "daily",
    ]  # fmt: skip
    assert complete("voicecore", "add", "telephony", "--provider", "t") == ["twilio", "telnyx"]
    assert complete("voicecore", "init", "--pipeline", "c") == ["cascade"]
    assert "eu-west-1" in complete("voicecore", "init", "--region", "eu-")
    command = Path(sys.executable).with_name("voicecore")
    script = pexpect.run(f"{command} --show-completion bash", encoding="utf-8")
    assert "complete -o default -F _voicecore_completion voicecore" in script


def test_shell_completes_values_of_the_project(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes")
    with (tmp_path / "mine/voicecore.toml").open("a") as file:
        file.write('\n[stages.prod]\nregion = "us-west-2"\n')
    for command in ("deploy", "rollback", "status", "logs", "traces", "talk", "invite", "destroy"):
        assert complete("voicecore", command, "--stage", "", cwd=tmp_path / "mine") == [
            "dev", "prod",
        ]  # fmt: skip
    assert complete("voicecore", "turn", "check", "--stage", "p", cwd=tmp_path / "mine") == ["prod"]
    assert complete("voicecore", "deploy", "--stage", "", cwd=tmp_path) == []
    assert complete("voicecore", "rollback", "", cwd=tmp_path / "mine") == []
    keep_known(tmp_path / "mine/.voicecore", "dev", [2, 10])
    assert complete("voicecore", "rollback", "", cwd=tmp_path / "mine") == ["v10", "v2"]
    assert complete("voicecore", "talk", "--protocol", "s") == ["strands", "sonic"]
    assert complete("voicecore", "talk", "--phone", "t") == ["twilio", "telnyx"]
    assert isinstance(complete("voicecore", "talk", "--microphone", ""), list)


@pytest.mark.parametrize(("shell", "file"), [("zsh", ".zfunc/_voicecore"), ("bash", ".bashrc")])
def test_completion_is_installed_for_the_shell_that_is_named(
    tmp_path: Path, shell: str, file: str
) -> None:
    env = {**os.environ, "HOME": str(tmp_path)}
    command = f"{Path(sys.executable).with_name('voicecore')} --install-completion {shell}"
    shown, code = pexpect.run(command, env=env, withexitstatus=True, encoding="utf-8")
    assert code == 0, shown
    assert (tmp_path / file).exists()
