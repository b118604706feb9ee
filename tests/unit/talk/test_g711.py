"""μ-law, and what a telephone line leaves of a voice."""

import numpy as np
import pytest

from tests.standins.talk.session_server import tone
from voicecore.catalog.phones import PHONES
from voicecore.talk.audio import pcm
from voicecore.talk.telephone.g711 import LINE_RATE, PhoneLine, from_mulaw, to_mulaw

CODES = bytes(range(256))


def test_mulaw_values_are_those_of_the_standard() -> None:
    values = pcm.to_array(from_mulaw(CODES))
    # ITU-T G.711, table 2: the ends of the scale, and around zero.
    assert values[[0x00, 0x0F, 0x7E, 0x7F, 0x80, 0xFF]].tolist() == [
        *(-32124, -16764, -8, 0), 32124, 0,
    ]  # fmt: skip
    assert values[:128].tolist() == (-values[128:]).tolist()


def test_every_code_survives_except_the_second_zero() -> None:
    assert to_mulaw(from_mulaw(CODES)) == CODES.replace(b"\x7f", b"\xff")


def test_samples_are_off_by_half_a_step_at_most() -> None:
    samples = np.arange(-32768, 32768, dtype="<i2")
    back = pcm.to_array(from_mulaw(to_mulaw(samples.tobytes()))).astype(int)
    allowed = np.maximum(4, (np.abs(samples.astype(int)) + 132) // 32 + 1)
    assert (
        np.abs(back - samples) <= np.where(np.abs(samples.astype(int)) > 32635, 644, allowed)
    ).all()


def hertz(sound: bytes, rate: int) -> float:
    samples = pcm.to_array(sound).astype(float)
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


@pytest.mark.parametrize("provider", PHONES)
def test_voice_passes_both_ways(provider: str) -> None:
    media = PHONES[provider].media()
    line, said = PhoneLine(media), tone(1000, 440, pcm.SPEECH_RATE)
    blocks = [said[n : n + 640] for n in range(0, len(said), 640)]
    sent = b"".join(line.to_provider(block) for block in blocks)
    assert len(sent) == 1000 * media.bytes_per_ms
    audio = line.to_caller(sent)
    assert audio.rate == LINE_RATE
    assert hertz(audio.pcm, LINE_RATE) == pytest.approx(440, abs=2)
    assert pcm.rms(audio.pcm) == pytest.approx(pcm.rms(said), rel=0.05)


def test_line_removes_what_is_above_a_telephones_band() -> None:
    high = tone(1000, 6000, pcm.SPEECH_RATE)
    line = PhoneLine(PHONES["vonage"].media())
    assert pcm.rms(line.to_provider(high)) < pcm.rms(high) / 100
    assert pcm.rms(line.to_caller(high).pcm) < pcm.rms(high) / 100
