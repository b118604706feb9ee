import pytest

from voicecore.cloud.turn import ALLOCATIONS, CREDENTIALS_PER_SECOND, channels_for


@pytest.mark.parametrize(
    ("peak", "rate", "channels"),
    [(1, None, 1), (10, None, 1), (16, None, 1), (17, None, 2), (100, 2, 6), (100, None, 6),
     (10, 50, 20), (2500, None, 150)],
)  # fmt: skip
def test_the_pool(peak: int, rate: float | None, channels: int) -> None:
    assert channels_for(peak, rate) == channels


@pytest.mark.parametrize("peak", range(1, 500, 7))
def test_no_channel_is_asked_for_more_than_it_gives(peak: int) -> None:
    channels = channels_for(peak)
    assert channels * ALLOCATIONS >= 3 * peak
    assert channels * CREDENTIALS_PER_SECOND >= 2 * peak / 30
