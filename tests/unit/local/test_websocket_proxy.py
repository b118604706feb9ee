"""The limit on WebSocket frames per second."""

from voicecore.local.gateway.websocket_proxy import FrameMeter


def test_frame_meter_admits_250_frames_per_second() -> None:
    meter = FrameMeter()
    assert all(meter.admits(10.2) for _ in range(250))
    assert not meter.admits(10.9)
    assert all(meter.admits(11.0) for _ in range(250))


def test_frame_meter_admits_what_came_while_this_process_was_stopped() -> None:
    meter = FrameMeter()
    assert all(meter.admits(10 + n / 50) for n in range(50))
    # 20 s later, 1,000 frames wait; it takes until the next second to relay them.
    assert all(meter.admits(31.5) for _ in range(600))
    assert all(meter.admits(32.0) for _ in range(450))
    assert all(meter.admits(33 + n / 50) for n in range(50))
    assert all(meter.admits(34.0) for _ in range(250))
    assert not meter.admits(34.1)
