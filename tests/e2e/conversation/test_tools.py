"""Tools that take long: the agent waits for them, and says who holds it up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conversation.conftest import talk
from voicecore.console.errors import ExitCode

SLOW = """
    import asyncio, time
    if day == "Sunday":
        await asyncio.sleep(5)
    else:
        time.sleep(1.5)
"""


@pytest.fixture
def slow(project: Path, tmp_path: Path) -> Path:
    """A project whose tool takes longer than the agent bears silence."""
    folder = tmp_path / "slow"
    shutil.copytree(project, folder)
    bot = folder / "agent/bot.py"
    code = bot.read_text()
    assert "    day = day.strip().title()\n" in code
    bot.write_text(code.replace("    day = day.strip().title()\n", SLOW))
    with (folder / "agent/.env").open("a") as env:
        env.write("\nSILENCE_SECONDS=4\n")
    return folder


def test_agent_waits_for_tools_and_names_the_one_that_blocks(slow: Path) -> None:
    lines = "When are you open on Sunday?\nWhen are you open on Saturday?\n"
    call = talk(slow, "--text", said=lines)
    assert call.code == ExitCode.OK, call.stderr
    assert call.said("agent_said")[-2:] == [
        "On Sunday we are open from noon to 4 PM.",
        "On Saturday we are open from 10 AM to 4 PM.",
    ]
    files = [path for path in (slow / ".voicecore/logs").rglob("*") if path.is_file()]
    logs = "".join(path.read_text() for path in files)
    assert '"event": "blocked"' in logs and '"name": "opening_hours"' in logs
