"""The jitter buffer between network and speaker."""

from voicecore.talk.audio.jitter_buffer import JitterBuffer
from voicecore.talk.audio.pcm import VOICE_BLOCK, VOICE_RATE

CHUNK = b"\1\2" * (VOICE_RATE * 40 // 1000)
SILENCE = bytes(2 * VOICE_BLOCK)


def pulled(buffer: JitterBuffer, blocks: int) -> bytes:
    return b"".join(buffer.pull(VOICE_BLOCK) for _ in range(blocks))


def test_waits_for_a_cushion_and_then_plays_without_a_gap() -> None:
    buffer = JitterBuffer()
    buffer.push(CHUNK)
    assert buffer.pull(VOICE_BLOCK) == SILENCE
    buffer.push(CHUNK)
    assert pulled(buffer, 4) == CHUNK * 2
    assert buffer.empty


def test_plays_short_audio_that_never_fills_the_cushion() -> None:
    buffer = JitterBuffer()
    buffer.push(CHUNK)
    assert pulled(buffer, 6).strip(b"\0") == CHUNK


def test_late_chunk_is_a_gap_unless_the_agent_had_paused() -> None:
    buffer = JitterBuffer()
    buffer.push(CHUNK * 2)
    pulled(buffer, 6)
    buffer.push(CHUNK * 2)
    pulled(buffer, 6)
    assert buffer.gaps == 1
    buffer.utterance_ended()
    buffer.push(CHUNK * 2)
    pulled(buffer, 6)
    assert buffer.gaps == 1


def test_flushed_audio_is_never_played() -> None:
    buffer = JitterBuffer()
    buffer.push(CHUNK * 10)
    pulled(buffer, 2)
    buffer.flush()
    assert buffer.pull(VOICE_BLOCK) == SILENCE
    assert buffer.empty
