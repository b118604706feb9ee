"""`voicecore talk` calls a bot that only Pipecat's own development runner serves."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.e2e.conversation.conftest import SAMPLES, talk
from tests.ports import free_port

BOT = Path(__file__).parents[2] / "standins" / "talk" / "runner_bot.py"
PACKAGE = "pipecat-ai[runner,webrtc,websocket]>=1.14,<1.15"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield host and port of a runner that serves all transports, in an environment of its own."""
    log, port = tmp_path_factory.mktemp("runner") / "log", free_port()
    host = f"127.0.0.1:{port}"
    uv = ["uv", "run", "--quiet", "--no-project", "--python", "3.12", "--with", PACKAGE]
    bot = ["python", str(BOT), "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("w") as output,
        subprocess.Popen([*uv, *bot], stdout=output, stderr=output) as process,
    ):
        try:
            until = time.monotonic() + 240  # with packages to download
            while not serves(host):
                assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
                time.sleep(0.1)
            yield host
        finally:
            process.terminate()


def serves(host: str) -> bool:
    try:
        with urlopen(f"http://{host}/status", timeout=5) as answer:
            return answer.status == 200
    except (URLError, TimeoutError, ConnectionError):
        return False


@pytest.mark.parametrize(
    ("scheme", "path", "flags"),
    [
        ("http", "", ()),
        ("http", "", ("--transport", "websocket")),
        ("ws", "/ws", ("--protocol", "rtvi")),
    ],
    ids=["webrtc", "websocket", "rtvi"],
)
def test_bot_repeats_what_it_hears(
    runner: str, tmp_path: Path, scheme: str, path: str, flags: tuple[str, ...]
) -> None:
    question = ("--input", str(SAMPLES / "twelve-times-seven.wav"))
    call = talk(tmp_path, "--url", f"{scheme}://{runner}{path}", *flags, *question)
    assert call.code == 0, call.stderr
    assert call.said("user_said") == ["2 seconds"]
    ended = call.events[-1]
    assert (ended["event"], ended["by"], ended["turns"]) == ("ended", "script", 1)
