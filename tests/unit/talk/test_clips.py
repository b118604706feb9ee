"""Reading sound files as speech, while they are spoken."""

import subprocess
import tracemalloc
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.standins.talk.session_server import tone
from voicecore.console.errors import ExitCode
from voicecore.talk.audio import pcm
from voicecore.talk.audio.clips import NotAudio, open_clip


def wav(path: Path, samples: bytes, rate: int, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return path


def spoken(path: Path) -> bytes:
    return b"".join(block.audio for block in open_clip(path).blocks())


def samples(path: Path) -> np.ndarray:
    return pcm.to_array(spoken(path)).astype(float)


def voice(path: Path) -> list[int]:
    """Return the end of the voice in each block, in samples."""
    return [block.voiced for block in open_clip(path).blocks()]


def eight_bit(sound: bytes) -> bytes:
    return (pcm.to_array(sound) // 256 + 128).astype(np.uint8).tobytes()


def stereo(sound: bytes, right: int = 1) -> bytes:
    return np.outer(pcm.to_array(sound), [1, right]).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("rate", "channels", "width"),
    [(16_000, 1, 2), (8_000, 1, 2), (48_000, 2, 2), (44_100, 2, 2), (11_025, 1, 1), (22_050, 1, 2)],
)
def test_reads_any_wav_as_speech(tmp_path: Path, rate: int, channels: int, width: int) -> None:
    sound = tone(730, 440, rate)
    stored = eight_bit(sound) if width == 1 else stereo(sound) if channels == 2 else sound
    path = wav(tmp_path / "x.wav", stored, rate, channels, width)
    audio = spoken(path)
    assert len(audio) % 640 == 0
    voiced = voice(path)
    last = max(n for n, end in enumerate(voiced) if end)
    assert 320 * last + voiced[last] == pytest.approx(0.730 * 16_000, abs=160)
    assert pcm.rms(audio[6400:16000]) == pytest.approx(pcm.rms(sound), rel=0.03)


CONTAINERS = (
    "wav", "w64", "aiff", "aifc", "au", "caf", "flac", "ogg", "voc", "wv", "sph", "sox", "ircam",
    "avr", "8svx", "maud", "amb",
)  # fmt: skip
ENCODINGS: tuple[tuple[str, ...], ...] = (
    (), ("-b", "8"), ("-b", "24"), ("-b", "32"), ("-e", "float"), ("-e", "a-law"), ("-e", "mu-law"),
    ("-e", "gsm-full-rate", "-r", "8000"), ("-e", "ima-adpcm"), ("-e", "ms-adpcm"),
)  # fmt: skip


def sox(*arguments: str, sound: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sox", "-V1", *arguments], input=sound, capture_output=True, check=False)


RAW = ("-t", "raw", "-e", "signed", "-b", "16", "-c", "1")


@pytest.mark.needs("sox")
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(CONTAINERS),
    st.sampled_from(ENCODINGS),
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    st.integers(1, 2),
    st.integers(100, 900),
)
def test_reads_what_sox_reads(
    tmp_path: Path, kind: str, encoding: tuple[str, ...], rate: int, channels: int, ms: int
) -> None:
    if kind in ("w64", "caf") and "float" in encoding:
        return  # sox reads its own three times as loud
    sound = tone(ms, 300, rate) + bytes(2 * rate // 20)
    path = tmp_path / f"x.{kind}"
    path.unlink(missing_ok=True)
    target = ("-c", str(channels), *encoding, str(path))
    if sox(*RAW, "-r", str(rate), "-", *target, sound=sound).returncode or not path.exists():
        return  # the container has no such encoding
    ours = samples(path)
    read = sox(str(path), "-t", "raw", "-e", "signed", "-b", "16", "-r", "16000", "-c", "1", "-")
    theirs = pcm.to_array(read.stdout).astype(float)
    # Encoders of whole blocks, as Vorbis and GSM, add some silence that only sox cuts off.
    assert -320 <= len(ours) - len(theirs) <= 2400
    # Where the last block of ADPCM is not full, sox ends with a click, which is in the silence.
    common = min(len(ours), len(theirs)) - 400
    difference = ours[:common] - theirs[:common]
    assert np.sqrt(np.mean(difference**2)) < 0.1 * np.sqrt(np.mean(theirs**2))


def test_reads_wav_whose_header_was_never_completed(tmp_path: Path) -> None:
    data = bytearray(wav(tmp_path / "x.wav", tone(500, 300, 16_000), 16_000).read_bytes())
    data[40:44] = bytes(4)
    (tmp_path / "x.wav").write_bytes(data)
    assert sum(map(bool, voice(tmp_path / "x.wav"))) == 25


def test_hears_stereo_whose_channels_cancel_out(tmp_path: Path) -> None:
    sound = tone(500, 300, 16_000)
    path = wav(tmp_path / "x.wav", stereo(sound, -1), 16_000, 2)
    assert pcm.rms(spoken(path)) == pytest.approx(pcm.rms(sound), rel=0.05)


def test_pause_and_click_are_told_from_speech(tmp_path: Path) -> None:
    sound = tone(500, 300, 16_000) + bytes(320_000) + tone(20, 300, 16_000) + bytes(3200)
    voiced = voice(wav(tmp_path / "x.wav", sound, 16_000))
    assert [n for n, end in enumerate(voiced) if end] == [*range(25), 525]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"This is a letter, not a sound.\n" * 50, "not a sound file"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not a sound file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "not a sound file"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.wav\n", "not a sound file"),
        (bytes(100_000), "not a sound file"),
    ],
)
def test_rejects_other_files(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "letter.wav"
    path.write_bytes(content)
    with pytest.raises(NotAudio, match=reason) as error:
        open_clip(path)
    assert "WAV, MP3, FLAC" in (error.value.hint or "")
    assert error.value.exit_code is ExitCode.USAGE


def test_rejects_silence_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotAudio, match="-100 dBFS"):
        open_clip(wav(tmp_path / "x.wav", bytes(320_000), 16_000))
    with pytest.raises(NotAudio, match="the file does not exist") as error:
        open_clip(tmp_path / "xx.wav")
    assert error.value.hint == f"Did you mean {tmp_path / 'x.wav'}?"
    with pytest.raises(NotAudio, match="the file does not exist"):
        open_clip(tmp_path / "no" / "folder.wav")
    with pytest.raises(NotAudio, match="Is a directory"):
        open_clip(tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b".snd", b"ID3"]))
def test_damaged_file_is_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, magic: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(magic + noise)
    with suppress(NotAudio):
        list(open_clip(path).blocks())


def test_long_file_is_not_read_before_it_is_spoken(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        for _ in range(120):
            file.writeframes(tone(1000, 300, 48_000))
    tracemalloc.start()
    try:
        blocks = sum(1 for _ in open_clip(path).blocks())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert blocks == 6000
    assert peak < 2_000_000  # the file has 11.5 MB
