"""Owns Pipecat's protobuf frames, which go over the WebSocket: as bytes and as values.

The schema is Pipecat's frames.proto, written here as a descriptor, so that a client needs neither
a code generator nor Pipecat itself
(https://github.com/pipecat-ai/pipecat/blob/main/src/pipecat/frames/frames.proto).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from voicecore.console import json_text

_FIELD = descriptor_pb2.FieldDescriptorProto
_U64, _U32 = _FIELD.TYPE_UINT64, _FIELD.TYPE_UINT32
_STR, _BYTES = _FIELD.TYPE_STRING, _FIELD.TYPE_BYTES

_MESSAGES = {
    "TextFrame": {"id": _U64, "name": _STR, "text": _STR},
    "AudioRawFrame": {
        "id": _U64,
        "name": _STR,
        "audio": _BYTES,
        "sample_rate": _U32,
        "num_channels": _U32,
        "pts": _U64,
    },
    "TranscriptionFrame": {
        "id": _U64,
        "name": _STR,
        "text": _STR,
        "user_id": _STR,
        "timestamp": _STR,
    },
    "MessageFrame": {"data": _STR},
    "InterruptionFrame": {"id": _U64, "name": _STR},
}
_KINDS = {
    "text": "TextFrame",
    "audio": "AudioRawFrame",
    "transcription": "TranscriptionFrame",
    "message": "MessageFrame",
    "interruption": "InterruptionFrame",
}


def _frame_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="voicecore/frames.proto", package="pipecat", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            message.field.add(
                name=field,
                number=number,
                type=kind,
                label=_FIELD.LABEL_OPTIONAL,
            )
    frame = file.message_type.add(name="Frame")
    frame.oneof_decl.add(name="frame")
    for number, (field, name) in enumerate(_KINDS.items(), start=1):
        frame.field.add(
            name=field,
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f".pipecat.{name}",
            label=_FIELD.LABEL_OPTIONAL,
            oneof_index=0,
        )
    # In its own pool: a program that also imports Pipecat has registered `pipecat.Frame` already.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportUnknownMemberType]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pipecat.Frame"))


_Frame = _frame_class()


RATES, CHANNELS_MAX = range(8000, 192_001), 8
"""Limits of audio hardware. Resampling from 1 sample/s would take gigabytes."""


@dataclass(frozen=True)
class Audio:
    """Little-endian 16-bit PCM at `rate` samples/s; several channels are interleaved."""

    pcm: bytes
    rate: int
    channels: int = 1


@dataclass(frozen=True)
class Message:
    """A JSON message; the label "rtvi-ai" marks those of RTVI."""

    body: dict[str, Any]


@dataclass(frozen=True)
class Interruption:
    """The agent stops speaking; drop what was not played yet."""


Frame = Audio | Message | Interruption


class BadFrame(Exception):
    """A frame that no agent sends; the message says what is wrong."""


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    wire = _Frame()
    match frame:
        case Audio(pcm, rate, channels):
            wire.audio.audio = pcm
            wire.audio.sample_rate = rate
            wire.audio.num_channels = channels
        case Message(body):
            wire.message.data = json.dumps(body)
        case Interruption():
            wire.interruption.SetInParent()
    return wire.SerializeToString()


def decode(data: bytes) -> Frame | None:
    """Return the frame in `data`; None if it is of a kind that a client ignores.

    A newer agent may send kinds that this client does not know; that must not end a call. Raises
    BadFrame.
    """
    wire = _Frame()
    try:
        wire.ParseFromString(data)
    except DecodeError:
        raise BadFrame("a message that is not a Pipecat frame") from None
    match wire.WhichOneof("frame"):
        case "audio":
            audio = wire.audio
            return checked_audio(audio.audio, audio.sample_rate, audio.num_channels or 1)
        case "message":
            return Message(message_in(wire.message.data))
        case "interruption":
            return Interruption()
        case _:
            return None


def checked_audio(pcm: bytes, rate: int, channels: int) -> Audio:
    """Return audio of a possible rate and number of channels. Raises BadFrame."""
    if rate not in RATES or channels not in range(1, CHANNELS_MAX + 1):
        raise BadFrame("audio of an impossible sample rate or number of channels")
    return Audio(pcm, rate, channels)


def message_in(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a message. Raises BadFrame."""
    try:
        body = json_text.parse(text)
    except json_text.NotJson:
        raise BadFrame("a message that is not JSON") from None
    if not isinstance(body, dict):
        raise BadFrame("a message that is not a JSON object")
    return cast("dict[str, Any]", body)
