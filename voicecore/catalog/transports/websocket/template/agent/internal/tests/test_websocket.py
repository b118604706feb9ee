"""The agent reads frames, and tells a client that sends anything else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pipecat.frames.frames import Frame
from pipecat.frames.protobufs import frames_pb2

from ..websocket import SocketFrames


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
