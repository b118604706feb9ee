"""The agent reads frames, and tells a client that sends anything else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pipecat.frames.frames import Frame, OutputTransportMessageUrgentFrame
from pipecat.frames.protobufs import frames_pb2

from ..websocket import FRAME_BYTES, SocketFrames


class Socket:
    """Records how it is closed."""

    def __init__(self) -> None:
        self.closed: tuple[int, str] | None = None

    async def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


def read(data: str | bytes) -> tuple[Frame | None, tuple[int, str] | None]:
    socket: Any = Socket()
    return asyncio.run(SocketFrames(socket).deserialize(data)), socket.closed


def test_frame_is_read() -> None:
    sent = frames_pb2.Frame()  # pyright: ignore - made at run time
    sent.audio.audio, sent.audio.sample_rate, sent.audio.num_channels = b"\0\0", 16_000, 1
    frame, closed = read(sent.SerializeToString())
    assert (type(frame).__name__, closed) == ("InputAudioRawFrame", None)


@pytest.mark.parametrize(("data", "code"), [("hello", 1003), (b"\xff\xffjunk", 1007)])
def test_anything_else_closes_the_socket_and_says_why(data: str | bytes, code: int) -> None:
    frame, closed = read(data)
    assert frame is None
    assert closed is not None
    assert closed[0] == code
    assert "Pipecat's protobuf" in closed[1]
    assert len(closed[1].encode()) <= 123  # RFC 6455, 5.5


def written(message: dict[str, Any]) -> str | bytes | None:
    socket: Any = Socket()
    frame = OutputTransportMessageUrgentFrame(message=message)
    return asyncio.run(SocketFrames(socket).serialize(frame))


@pytest.mark.parametrize("character", ["x", "é", "漢", "\N{GRINNING FACE}"])
def test_long_error_is_shortened_to_what_a_socket_carries(character: str) -> None:
    error = {"label": "rtvi-ai", "type": "error", "data": {"error": 100_000 * character}}
    data = written(error)
    assert isinstance(data, bytes)
    assert len(data) <= FRAME_BYTES
    message = json.loads(frames_pb2.Frame.FromString(data).message.data)  # pyright: ignore
    assert message["type"] == "error"
    assert message["data"]["error"].startswith(1000 * character)


def test_message_that_cannot_be_shortened_is_dropped() -> None:
    assert written({"numbers": list(range(100_000))}) is None
