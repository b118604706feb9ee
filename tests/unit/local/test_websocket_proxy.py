"""The limit on WebSocket frames per second."""

from voicecore.local.gateway.websocket_proxy import FrameMeter


def test_frame_meter_admits_250_frames_per_second() -> None:
    meter = FrameMeter()
    assert all(meter.admits(10.2) for _ in range(250))
    assert not meter.admits(10.9)
    assert all(meter.admits(11.0) for _ in range(250))
