"""Pipecat's protobuf frames, against bytes that Pipecat 1.14's own serializer wrote."""

import pytest

from voicecore.talk.transports.pipecat_frames import (
    Audio,
    BadFrame,
    Interruption,
    Message,
    decode,
    encode,
)

BOT_READY = {"label": "rtvi-ai", "type": "bot-ready", "id": "1", "data": {"version": "2.2.0"}}

# hex of ProtobufFrameSerializer().serialize(frame), pipecat-ai 1.14.0
FROM_PIPECAT = {
    "1229080112154f7574707574417564696f5261774672616d6523301a08000102030405060720c0bb012801": Audio(
        bytes(range(8)), 24_000
    ),
    "22540a527b226c6162656c223a2022727476692d6169222c202274797065223a2022626f742d7265616479222c"
    "20226964223a202231222c202264617461223a207b2276657273696f6e223a2022322e322e30227d7d": Message(
        BOT_READY
    ),
    "2a1708031213496e74657272757074696f6e4672616d652330": Interruption(),
    # A TextFrame and a TranscriptionFrame: a caller gets the same from RTVI.
    "0a170804120b546578744672616d6523301a0668c3a96c6c6f": None,
    "1a22080512145472616e736372697074696f6e4672616d6523301a0268692201752a0174": None,
}


@pytest.mark.parametrize("wire", FROM_PIPECAT)
def test_decodes_frames_of_pipecat(wire: str) -> None:
    assert decode(bytes.fromhex(wire)) == FROM_PIPECAT[wire]


@pytest.mark.parametrize(
    "frame",
    [Audio(b"\1\2" * 320, 16_000), Audio(b"", 8_000, 2), Message({"ä": [1]}), Interruption()],
)
def test_frames_survive_encoding(frame: Audio | Message | Interruption) -> None:
    assert decode(encode(frame)) == frame


def test_encodes_audio_as_pipecat_does() -> None:
    # field 2 (audio) { 3: pcm, 4: 16000, 5: 1 }: name and id are optional in proto3
    assert encode(Audio(b"\1\0", 16_000)).hex() == "12091a02010020807d2801"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff", "not a Pipecat frame"),
        (b"hello", "not a Pipecat frame"),
        (bytes.fromhex("22030a017b"), "not JSON"),
        (bytes.fromhex("22030a0131"), "not a JSON object"),
        (encode(Audio(b"\1\0", 0)), "impossible sample rate"),
        (encode(Audio(b"\1\0", 1)), "impossible sample rate"),
        (encode(Audio(b"\1\0", 2**32 - 1)), "impossible sample rate"),
        (encode(Audio(b"\1\0", 24_000, 2**32 - 1)), "number of channels"),
    ],
)
def test_rejects_garbage_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadFrame, match=reason):
        decode(data)


def test_ignores_an_empty_frame() -> None:
    assert decode(b"") is None
