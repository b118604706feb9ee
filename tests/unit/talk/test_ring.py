"""What is kept to be said again after a lost connection, and what is not."""

from voicecore.talk.audio.replay_buffer import LIMIT_MS, Block, Ring

QUIET = Block(b"\0" * 640)
ALL = 10_000


def voice(mark: int) -> Block:
    return Block(bytes([mark]) * 640, voiced=True)


def filled(*blocks: Block) -> Ring:
    ring = Ring()
    for block in blocks:
        ring.add(block)
    return ring


def test_everything_is_taken_once_and_again_after_a_rewind() -> None:
    ring = filled(voice(1), voice(2))
    assert ring.take(1) == voice(1).sound
    assert ring.waiting == 1
    ring.rewind()
    assert ring.take(ALL) == voice(1).sound + voice(2).sound
    assert ring.take(ALL) == b""


def test_of_a_finished_turn_only_the_silence_after_it_is_kept() -> None:
    ring = filled(voice(1), *[QUIET] * 12)
    ring.take(ALL)
    ring.turn_finished()
    ring.rewind()
    assert ring.take(ALL) == QUIET.sound * 12


def test_a_phrase_begun_before_the_word_arrives_is_kept() -> None:
    ring = filled(voice(1), *[QUIET] * 20, voice(2), voice(3))
    ring.take(ALL)
    ring.turn_finished()
    ring.rewind()
    kept = ring.take(ALL)
    assert kept.endswith(voice(2).sound + voice(3).sound)
    assert voice(1).sound not in kept


def test_what_was_not_sent_yet_is_never_forgotten() -> None:
    ring = filled(voice(1), *[QUIET] * 12)
    ring.take(5)
    ring.turn_finished()
    assert ring.take(ALL) == QUIET.sound * 8


def test_silence_that_was_sent_does_not_pile_up() -> None:
    ring = Ring()
    for _ in range(500):
        ring.add(QUIET)
        ring.take(1)
    ring.rewind()
    assert ring.waiting <= 16  # a lead-in for the VAD


def test_silence_of_a_gap_is_kept_in_its_place() -> None:
    ring = filled(*[QUIET] * 50)
    assert ring.take(ALL) == QUIET.sound * 50


def test_the_oldest_falls_out_at_the_limit() -> None:
    ring = filled(*[voice(n % 250) for n in range(LIMIT_MS // 20 + 7)])
    assert len(ring) == LIMIT_MS // 20
    assert ring.take(1) == voice(7).sound
