"""The jitter buffer between network and loudspeaker."""

from voicecore.talk.audio.jitter_buffer import Playback
from voicecore.talk.audio.pcm import VOICE_BLOCK, VOICE_RATE

CHUNK = b"\1\2" * (VOICE_RATE * 40 // 1000)
SILENCE = bytes(2 * VOICE_BLOCK)


def pulled(playback: Playback, blocks: int) -> bytes:
    return b"".join(playback.pull(VOICE_BLOCK) for _ in range(blocks))


def test_it_waits_for_a_cushion_and_then_plays_without_a_gap() -> None:
    playback = Playback()
    playback.push(CHUNK)
    assert playback.pull(VOICE_BLOCK) == SILENCE
    playback.push(CHUNK)
    assert pulled(playback, 4) == CHUNK * 2
    assert playback.empty


def test_a_short_sound_is_played_though_it_never_fills_the_cushion() -> None:
    playback = Playback()
    playback.push(CHUNK)
    assert pulled(playback, 6).strip(b"\0") == CHUNK


def test_a_late_chunk_is_a_gap_unless_the_agent_had_paused() -> None:
    playback = Playback()
    playback.push(CHUNK * 2)
    pulled(playback, 6)
    playback.push(CHUNK * 2)
    pulled(playback, 6)
    assert playback.gaps == 1
    playback.utterance_ended()
    playback.push(CHUNK * 2)
    pulled(playback, 6)
    assert playback.gaps == 1


def test_flushed_sound_is_never_heard() -> None:
    playback = Playback()
    playback.push(CHUNK * 10)
    pulled(playback, 2)
    playback.flush()
    assert playback.pull(VOICE_BLOCK) == SILENCE
    assert playback.empty
