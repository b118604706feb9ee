"""Speech kept to be sent again after a lost connection."""

from voicecore.talk.audio.replay_buffer import LIMIT_MS, ReplayBuffer, SpeechBlock

QUIET = SpeechBlock(b"\0" * 640)
ALL = 10_000


def voice(mark: int) -> SpeechBlock:
    return SpeechBlock(bytes([mark]) * 640, voiced=True)


def filled(*blocks: SpeechBlock) -> ReplayBuffer:
    buffer = ReplayBuffer()
    for block in blocks:
        buffer.add(block)
    return buffer


def test_everything_is_taken_once_and_again_after_a_rewind() -> None:
    buffer = filled(voice(1), voice(2))
    assert buffer.take(1) == voice(1).audio
    assert buffer.waiting == 1
    buffer.rewind()
    assert buffer.take(ALL) == voice(1).audio + voice(2).audio
    assert buffer.take(ALL) == b""


def test_finished_turn_is_dropped_except_the_silence_after_it() -> None:
    buffer = filled(voice(1), *[QUIET] * 12)
    buffer.take(ALL)
    buffer.turn_finished()
    buffer.rewind()
    assert buffer.take(ALL) == QUIET.audio * 12


def test_phrase_begun_before_the_turn_is_reported_is_kept() -> None:
    buffer = filled(voice(1), *[QUIET] * 20, voice(2), voice(3))
    buffer.take(ALL)
    buffer.turn_finished()
    buffer.rewind()
    kept = buffer.take(ALL)
    assert kept.endswith(voice(2).audio + voice(3).audio)
    assert voice(1).audio not in kept


def test_unsent_blocks_are_never_dropped() -> None:
    buffer = filled(voice(1), *[QUIET] * 12)
    buffer.take(5)
    buffer.turn_finished()
    assert buffer.take(ALL) == QUIET.audio * 8


def test_sent_silence_does_not_pile_up() -> None:
    buffer = ReplayBuffer()
    for _ in range(500):
        buffer.add(QUIET)
        buffer.take(1)
    buffer.rewind()
    assert buffer.waiting <= 16  # a lead-in for the VAD


def test_unsent_silence_is_kept_in_its_place() -> None:
    buffer = filled(*[QUIET] * 50)
    assert buffer.take(ALL) == QUIET.audio * 50


def test_oldest_blocks_are_dropped_at_the_limit() -> None:
    buffer = filled(*[voice(n % 250) for n in range(LIMIT_MS // 20 + 7)])
    assert len(buffer) == LIMIT_MS // 20
    assert buffer.take(1) == voice(7).audio
