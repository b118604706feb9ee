"""Owns the application/vnd.amazon.eventstream framing; botocore decodes."""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.eventstream import EventStreamBuffer, EventStreamMessage

from tests.standins.models.refusal import Refused

_STRING = 7  # header value types: https://smithy.io/2.0/aws/amazon-eventstream.html
_TIMESTAMP = 8


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame with string headers."""
    block = b"".join(
        struct.pack("!B", len(name)) + name.encode() + _string_value(value)
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    body = prelude + struct.pack("!I", binascii.crc32(prelude)) + block + payload
    return body + struct.pack("!I", binascii.crc32(body))


def event(name: str, payload: Mapping[str, Any]) -> bytes:
    """Return a frame with an event that has a JSON payload."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, json.dumps(payload).encode())


def exception(refused: Refused, key: str = "message") -> bytes:
    """Return a frame with an exception; its type starts in lower case in a stream."""
    kind = refused.kind[0].lower() + refused.kind[1:]
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode(headers, json.dumps({key: refused.message}).encode())


def encode_timestamp_header(name: str, milliseconds: int) -> bytes:
    """Return one encoded timestamp header, which a chunk signature covers."""
    value = struct.pack("!Bq", _TIMESTAMP, milliseconds)
    return struct.pack("!B", len(name)) + name.encode() + value


class Decoder:
    """Decodes frames from bytes that arrive in pieces. botocore verifies both checksums."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> Iterator[EventStreamMessage]:
        self._buffer.add_data(data)
        yield from self._buffer


def _string_value(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!BH", _STRING, len(raw)) + raw
