"""Writing sound files."""

import wave
from pathlib import Path

import numpy as np
import pytest

from tests.standins.disk import small_disk
from tests.standins.talk.session_server import tone
from voicecore.console.errors import DISK_FULL
from voicecore.talk.audio import pcm
from voicecore.talk.audio.sound_files import Recorder, WavWriter


def test_wav_can_be_played_even_if_the_writer_is_killed(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "y.wav", channels=1)
    writer.write(tone(1500))
    with wave.open(str(tmp_path / "y.wav")) as file:  # never closed
        assert file.getframerate() == 24_000
        assert file.getnframes() == 36_000
    writer.write(tone(100))
    writer.close()
    with wave.open(str(tmp_path / "y.wav")) as file:
        assert file.getnframes() == 38_400


def test_full_disk_ends_a_file_that_can_be_played(tmp_path: Path) -> None:
    said = tone(3000)
    with small_disk(tmp_path / "disk", kilobytes=64) as disk:
        writer = WavWriter(disk / "x.wav", channels=1)
        for start in range(0, len(said), 960):
            writer.write(said[start : start + 960])
        writer.close()
        with wave.open(str(disk / "x.wav")) as file:
            kept = file.readframes(file.getnframes())
        assert (disk / "x.wav").stat().st_size == 64 * 1024
    assert len(kept) == 64 * 1024 - 44 and said.startswith(kept)
    assert writer.failure and writer.failure.errno in DISK_FULL
    assert writer.seconds == pytest.approx(len(kept) / 48_000)


def test_recording_keeps_both_sides_in_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "c.wav")
    silent, loud = bytes(640), tone(20, 500, 16_000)
    quiet_reply, reply = bytes(960), tone(20, 500)
    for n in range(50):
        # The speaker delivers unevenly: nothing, then two blocks at once.
        played = b"" if n % 2 else (reply if 20 <= n < 30 else quiet_reply) * 2
        recorder.write(loud if 10 <= n < 20 else silent, played)
    recorder.close()
    with wave.open(str(tmp_path / "c.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 24_000, 24_000)
        samples = pcm.to_array(file.readframes(24_000)).reshape(-1, 2).astype(float)
    left = np.flatnonzero(np.abs(samples[:, 0]) > 300)
    right = np.flatnonzero(np.abs(samples[:, 1]) > 300)
    assert left[0] == pytest.approx(10 * 480, abs=48)
    assert left[-1] == pytest.approx(20 * 480, abs=48)
    assert right[0] == pytest.approx(20 * 480, abs=48)
    assert right[-1] == pytest.approx(30 * 480, abs=48)
