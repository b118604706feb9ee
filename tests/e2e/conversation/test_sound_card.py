"""A user at a sound card and the real agent: a spoken question and an interruption."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.conversation.conftest import SAMPLES
from tests.standins.soundcard import SoundCard
from voicecore.console.errors import ExitCode

Event = dict[str, Any]


# Long enough to be interrupted, however late the user is heard.
LONG_HOURS = "noon to 4 PM, " + "except on the days before and after a holiday, " * 6


def test_user_who_interrupts_the_agent_is_answered(project: Path, tmp_path: Path) -> None:
    project = shutil.copytree(
        project, tmp_path / "ada", ignore=shutil.ignore_patterns(".venv", ".voicecore")
    )
    bot = project / "agent/bot.py"
    bot.write_text(bot.read_text().replace("noon to 4 PM", LONG_HOURS))
    with SoundCard.plugged_in(tmp_path) as card:
        talk = subprocess.Popen(
            [sys.executable, "-m", "voicecore", "talk", "--json"],
            cwd=project, env=card.env, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert talk.stdout
        seen: list[Event] = []

        def wait_for(condition: Callable[[Event], bool]) -> Event:
            assert talk.stdout
            for line in talk.stdout:
                seen.append(json.loads(line))
                if condition(seen[-1]):
                    return seen[-1]
            raise AssertionError(f"talk ended; seen: {seen}")

        try:
            greeting = wait_for(lambda e: e["event"] == "agent_said")
            assert "rule-based" in greeting["text"]
            with card.listen(tmp_path / "answer.wav"):
                card.speak(SAMPLES / "open-on-sunday.wav").wait()
                wait_for(lambda e: e["event"] == "tool_call")
                quiet = (tmp_path / "answer.wav").stat().st_size
                card.wait_until_loud(tmp_path / "answer.wav", after=quiet)
            card.speak(SAMPLES / "what-time-is-it.wav").wait()
            cut = wait_for(lambda e: e["event"] == "agent_said")
            assert cut["interrupted"], json.dumps(seen)
            asked = wait_for(lambda e: e["event"] == "user_said")
            assert asked["text"] == "What time is it?"
            answer = wait_for(lambda e: e["event"] == "agent_said")
            assert answer["text"].startswith("It is ") and not answer["interrupted"]
        finally:
            talk.send_signal(signal.SIGINT)
            talk.communicate(timeout=60)
        assert talk.returncode == ExitCode.OK
