"""What the echo canceller is fed, and in which order; `test_echo_path` has when it is used."""

from tests.standins.talk.recording_rtc import RecordingRtc, inverted
from voicecore.talk.audio import pcm
from voicecore.talk.audio.echo_canceller import EchoCanceller

NEAR = bytes(range(64)) * (2 * pcm.SPEECH_BLOCK // 64)
STEP = 2 * pcm.VOICE_RATE // 100


def steps(first: int, last: int) -> bytes:
    """Return so many different steps of 10 ms for the speaker."""
    return b"".join(bytes([n]) * STEP for n in range(first, last))


def numbers(rtc: RecordingRtc) -> list[int]:
    """Return the steps that were processed since the last call of this function."""
    processed = [frame[0] for frame in rtc.far]
    rtc.far.clear()
    return processed


def test_microphone_is_returned_as_it_was_processed() -> None:
    rtc = RecordingRtc()
    assert EchoCanceller(rtc).clean(steps(0, 2), NEAR, 50) == inverted(NEAR)
    assert (numbers(rtc), rtc.delays) == ([0, 1], [50, 50])


def test_of_a_burst_only_the_last_100_ms_are_processed_and_20_ms_wait() -> None:
    rtc = RecordingRtc()
    echo = EchoCanceller(rtc)
    echo.clean(steps(0, 50), NEAR, 50)
    assert numbers(rtc) == [*range(40, 48)]
    echo.clean(b"", NEAR, 50)
    assert numbers(rtc) == [48, 49]


def test_incomplete_step_waits_for_the_rest() -> None:
    rtc = RecordingRtc()
    echo = EchoCanceller(rtc)
    whole = steps(0, 2)
    echo.clean(whole[:700], NEAR, 50)
    assert numbers(rtc) == [0]
    echo.clean(whole[700:], NEAR, 50)
    assert numbers(rtc) == [1]
