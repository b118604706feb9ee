"""The limit on WebSocket frames per second."""

from voicecore.local.gateway.websocket_proxy import FrameMeter


def test_frame_meter_admits_250_frames_per_second() -> None:
    meter = FrameMeter()
    assert all(meter.admits(10 + n / 250) for n in range(2500))
    assert not all(meter.admits(20 + n / 300) for n in range(10 * 300))


def test_frame_meter_admits_every_burst_that_some_clock_admits() -> None:
    """250 at the end of a second and 250 at the start of the next arrive at once."""
    meter = FrameMeter()
    assert all(meter.admits(10.99) for _ in range(250))
    assert all(meter.admits(11.01) for _ in range(250))
    assert not all(meter.admits(11.5) for _ in range(250))


def test_frame_meter_admits_what_came_while_this_process_was_stopped() -> None:
    meter = FrameMeter()
    assert all(meter.admits(10 + n / 50) for n in range(50))
    # 20 s later, 1,000 frames wait; it takes until the next second to relay them.
    assert all(meter.admits(31.5) for _ in range(600))
    assert all(meter.admits(32.0) for _ in range(450))
    assert all(meter.admits(33 + n / 50) for n in range(20 * 50))
    assert not all(meter.admits(53.0) for _ in range(501))
