"""Reading and writing sound files."""

import wave
from pathlib import Path

import numpy as np
import pytest

from tests.standins.disk import small_disk
from tests.standins.talk.session_server import tone
from voicecore.console.errors import DISK_FULL, ExitCode
from voicecore.talk.audio import pcm
from voicecore.talk.audio.sound_files import NotAudio, Recorder, WavWriter, read_clip


def wav(path: Path, samples: bytes, rate: int, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return path


def eight_bit(sound: bytes) -> bytes:
    return (pcm.to_array(sound) // 256 + 128).astype(np.uint8).tobytes()


def stereo(sound: bytes) -> bytes:
    return np.repeat(pcm.to_array(sound), 2).tobytes()


@pytest.mark.parametrize(
    ("rate", "channels", "width"),
    [(16_000, 1, 2), (8_000, 1, 2), (48_000, 2, 2), (44_100, 2, 2), (11_025, 1, 1), (22_050, 1, 2)],
)
def test_reads_any_wav_as_speech(tmp_path: Path, rate: int, channels: int, width: int) -> None:
    sound = tone(730, 440, rate)
    stored = eight_bit(sound) if width == 1 else stereo(sound) if channels == 2 else sound
    clip = read_clip(wav(tmp_path / "x.wav", stored, rate, channels, width))
    assert len(clip.audio) % 640 == 0
    assert clip.voiced == pytest.approx(0.730 * 16_000, abs=160)
    middle = pcm.rms(clip.audio[6400:16000])
    assert middle == pytest.approx(pcm.rms(sound), rel=0.03)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"This is a letter, not a sound.\n" * 50, "not a WAV"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not a WAV"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "not a WAV"),
    ],
)
def test_rejects_other_files(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "letter.wav"
    path.write_bytes(content)
    with pytest.raises(NotAudio, match=reason) as error:
        read_clip(path)
    assert "WAV, MP3 or FLAC" in (error.value.hint or "")
    assert error.value.exit_code is ExitCode.USAGE


def test_rejects_silence_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotAudio, match="silence"):
        read_clip(wav(tmp_path / "x.wav", bytes(32_000), 16_000))
    with pytest.raises(NotAudio, match="the file does not exist"):
        read_clip(tmp_path / "missing.wav")


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
