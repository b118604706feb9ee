"""Owns a software sound card: PulseAudio with a virtual microphone and a virtual speaker.

`SoundCard.plugged_in(folder)` starts a PulseAudio of its own, which no other program can reach.
Programs hear at the microphone what `speak` plays; `listen` records what programs play; `join`
feeds the speaker into the microphone, as in a room.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.requirements import require

SINKS = """
load-module module-null-sink sink_name=speaker rate=48000 channels=1 sink_properties=device.description=Virtual-Speaker
load-module module-null-sink sink_name=mouth rate=48000 channels=1 sink_properties=device.description=Mouth
load-module module-remap-source master=mouth.monitor source_name=microphone source_properties=device.description=Virtual-Microphone
set-default-sink speaker
set-default-source microphone
"""  # noqa: E501 - one module a line is PulseAudio's syntax
NOTHING = "\n"


@dataclass(frozen=True)
class SoundCard:
    """A running PulseAudio; `env` are the variables with which a program finds it."""

    env: dict[str, str]

    @staticmethod
    @contextmanager
    def plugged_in(folder: Path, devices: str = SINKS) -> Iterator[SoundCard]:
        """Run the card while the block runs; all its files are in `folder`."""
        require("PulseAudio")
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        script = folder / "card.pa"
        script.write_text("load-module module-native-protocol-unix\n" + devices)
        env = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "PULSE_SERVER": f"unix:{runtime}/pulse/native",
        }
        argv = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        # As on a desktop. A thread is the clock: if it wakes late, sound is missing.
        argv += ["--disable-shm=yes", "--realtime=yes", "--high-priority=yes", "-F", str(script)]
        process = subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL)
        card = SoundCard(env)
        try:
            card._wait_until_up(process)
            yield card
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while self._pactl("info").returncode:
            assert process.poll() is None, "pulseaudio ended"
            assert time.monotonic() < deadline, "pulseaudio did not start"
            time.sleep(0.05)

    def _pactl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pactl", *arguments], env=self.env, capture_output=True, text=True, check=False
        )

    def speak(self, wav: Path) -> subprocess.Popen[bytes]:
        """Start playing a file into the microphone, as a person would speak."""
        argv = ["paplay", "--device=mouth", "--latency-msec=20", str(wav)]
        return subprocess.Popen(argv, env=self.env)

    @contextmanager
    def listen(self, wav: Path, at: str = "speaker.monitor") -> Iterator[None]:
        """Record the speaker while the block runs, mono at 48 kHz."""
        argv = ["parec", f"--device={at}", "--latency-msec=20", "--file-format=wav"]
        argv += ["--rate=48000", "--channels=1", str(wav)]
        before = self._recordings()
        process = subprocess.Popen(argv, env=self.env)
        while self._recordings() == before:
            assert process.poll() is None, "parec ended"
            time.sleep(0.05)
        try:
            yield
        finally:
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            process.wait(60)

    @staticmethod
    def wait_until_loud(recording: Path, after: int = 44, seconds: float = 30) -> None:
        """Wait until something is audible in the growing WAV file of `listen`, `after` a byte."""
        deadline = time.monotonic() + seconds
        while True:
            heard = recording.read_bytes()[after:] if recording.exists() else b""
            if np.any(np.abs(np.frombuffer(heard[: len(heard) // 2 * 2], np.int16)) > 1000):
                return
            assert time.monotonic() < deadline, f"nothing was audible in {seconds} s"
            time.sleep(0.05)

    def _recordings(self) -> int:
        return len(self._pactl("list", "short", "source-outputs").stdout.splitlines())

    def join(self, latency_ms: int = 40) -> None:
        """Feed the speaker into the microphone, as in a room."""
        loop = self._pactl(
            "load-module", "module-loopback", "source=speaker.monitor", "sink=mouth",
            f"latency_msec={latency_ms}", "adjust_time=0",
        )  # fmt: skip
        assert loop.returncode == 0, loop.stderr
