"""A recording on a full disk: what was recorded is kept, and the user is told."""

import asyncio
import json
import os
import subprocess
import sys
import wave
from pathlib import Path

from tests.standins.disk import small_disk
from tests.standins.talk.session_server import KEY, AgentStandIn
from voicecore.console.errors import ExitCode

QUESTION = Path(__file__).parents[3] / "voicecore/samples/what-time-is-it.wav"


def test_recording_on_full_disk_keeps_what_was_recorded(tmp_path: Path) -> None:
    async def main() -> tuple[int | None, bytes, bytes]:
        async with AgentStandIn(reply_ms=3000) as agent:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "voicecore", "talk", "--url", agent.url, "--json"),
                *("--input", str(QUESTION), "--record", str(tmp_path / "disk/call.wav")),
                cwd=tmp_path,
                env={**os.environ, "SESSION_API_KEY": KEY},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            output = await process.communicate()
            return process.returncode, *output

    with small_disk(tmp_path / "disk", kilobytes=192) as disk:
        code, stdout, stderr = asyncio.run(main())
        with wave.open(str(disk / "call.wav")) as file:
            recorded = file.getnframes() / file.getframerate()
    assert b"Traceback" not in stderr
    assert code == ExitCode.FAILED
    assert 1 < recorded < 2.1
    assert f"has only the first {recorded:.0f} s of the call".encode() in stderr
    assert b"No space left on device" in stderr
    events = [json.loads(line)["event"] for line in stdout.splitlines()]
    assert "latency" in events  # the call went on
