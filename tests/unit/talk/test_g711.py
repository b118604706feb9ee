"""μ-law, and what a telephone line leaves of a voice."""

import numpy as np
import pytest

from tests.standins.talk.session_server import tone
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.media import MediaProtocol
from voicecore.catalog.phones.record import ALAW, MULAW, PCM
from voicecore.talk.audio import pcm
from voicecore.talk.telephone.g711 import LAWS, LINE_RATE, PhoneLine

CODES = bytes(range(256))


def test_codes_have_the_values_of_the_standard() -> None:
    mulaw, alaw = (pcm.to_array(LAWS[law].decode(CODES)) for law in (MULAW, ALAW))
    # ITU-T G.711, tables 2 and 1: the ends of the scale, and around zero.
    assert mulaw[[0x00, 0x0F, 0x7E, 0x7F, 0x80, 0xFF]].tolist() == [
        *(-32124, -16764, -8, 0), 32124, 0,
    ]  # fmt: skip
    assert alaw[[0x2A, 0x55, 0x54, 0xD5, 0xD4, 0xAA]].tolist() == [
        *(-32256, -8, -24), 8, 24, 32256,
    ]  # fmt: skip
    for values in (mulaw, alaw):
        assert values[:128].tolist() == (-values[128:]).tolist()


def test_every_code_survives_except_the_second_zero() -> None:
    mulaw, alaw = LAWS[MULAW], LAWS[ALAW]
    assert mulaw.encode(mulaw.decode(CODES)) == CODES.replace(b"\x7f", b"\xff")
    assert alaw.encode(alaw.decode(CODES)) == CODES


@pytest.mark.parametrize("law", LAWS)
def test_samples_are_off_by_half_a_step_at_most(law: str) -> None:
    samples = np.arange(-32768, 32768, dtype="<i2")
    back = pcm.to_array(LAWS[law].decode(LAWS[law].encode(samples.tobytes()))).astype(int)
    values = np.sort(pcm.to_array(LAWS[law].decode(CODES)).astype(int))
    nearest = np.abs(values[:, None] - samples[None, ::97].astype(int)).min(axis=0)
    assert (np.abs(back - samples)[::97] == nearest).all()


def hertz(sound: bytes, rate: int) -> float:
    samples = pcm.to_array(sound).astype(float)
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


LINES = [
    *(phone.media() for phone in PHONES.values()),
    PHONES["telnyx"].media().over(ALAW),
    *(PHONES["exotel"].media().over(PCM, rate) for rate in (16_000, 24_000)),
    PHONES["vonage"].media().over(PCM, 8000),
]


@pytest.mark.parametrize("media", LINES, ids=lambda m: f"{type(m).__name__}-{m.encoding}-{m.rate}")
def test_voice_passes_both_ways(media: MediaProtocol) -> None:
    line, said = PhoneLine(media), tone(1000, 440, pcm.SPEECH_RATE)
    blocks = [said[n : n + 640] for n in range(0, len(said), 640)]
    sent = b"".join(line.to_provider(block) for block in blocks)
    assert len(sent) == media.over(chunk_ms=1000).chunk_bytes
    played = sent if media.plays == media.encoding else recoded(sent, media)
    assert media.milliseconds(played) == 1000
    audio = line.to_caller(played)
    assert audio.rate == LINE_RATE
    assert hertz(audio.pcm, LINE_RATE) == pytest.approx(440, abs=2)
    assert pcm.rms(audio.pcm) == pytest.approx(pcm.rms(said), rel=0.05)


def recoded(sent: bytes, media: MediaProtocol) -> bytes:
    """Return the caller's voice in the encoding in which the server plays."""
    return LAWS[media.plays].encode(LAWS[media.encoding].decode(sent))


def test_line_removes_what_is_above_a_telephones_band() -> None:
    high = tone(1000, 6000, pcm.SPEECH_RATE)
    line = PhoneLine(PHONES["vonage"].media())
    assert pcm.rms(line.to_provider(high)) < pcm.rms(high) / 100
    assert pcm.rms(line.to_caller(high).pcm) < pcm.rms(high) / 100
