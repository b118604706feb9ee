"""Owns which protocol a WebSocket speaks: the one that is named, or the one of its first words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.wire.pipecat import JsonWire, ProtobufWire
from voicecore.talk.wire.raw_pcm import RawPcmWire
from voicecore.talk.wire.sonic import SonicWire
from voicecore.talk.wire.strands import StrandsWire
from voicecore.talk.wire.wire import Data, Wire, object_in

NewWire = Callable[[], Wire]
"""Makes the protocol's side of a new connection."""

WIRES: Mapping[str, type[Wire]] = {
    wire.name: wire for wire in (ProtobufWire, JsonWire, StrandsWire, SonicWire, RawPcmWire)
}
_SHOWN = 60
"""Characters of a strange message in an error."""


class UnknownProtocol(VoicecoreError):
    """The other side speaks none of the protocols, or does not show which."""

    def __init__(self, found: str, protocol: str = "|".join(WIRES)) -> None:
        super().__init__(
            f"The agent's protocol is not known: {found}.",
            f"Name it, if it is one of these:  --protocol {protocol}",
            ExitCode.USAGE,
        )


def named(value: str) -> NewWire:
    """Return the protocol of --protocol, such as `sonic` or `pcm:24000`. Raises UnknownProtocol."""
    name, colon, rate = value.partition(":")
    if name not in WIRES or (colon and name != RawPcmWire.name):
        raise UnknownProtocol(f"--protocol {value!r} is not one of {', '.join(WIRES)}")
    if not colon:
        return WIRES[name]
    if not rate.isdecimal() or int(rate) not in pipecat_frames.RATES:
        raise UnknownProtocol(f"{rate!r} is no sample rate from 8000 to 192000", "pcm:24000")
    return lambda: RawPcmWire(int(rate))


def of_first(data: Data) -> NewWire:
    """Return the protocol whose agent begins with this message. Raises UnknownProtocol."""
    if isinstance(data, bytes):
        try:
            pipecat_frames.decode(data)
        except pipecat_frames.BadFrame:
            found = f"its first message has {len(data):,} bytes that are not a frame of Pipecat"
            raise UnknownProtocol(found, RawPcmWire.name) from None
        return ProtobufWire
    try:
        body = object_in(data)
    except pipecat_frames.BadFrame:
        raise UnknownProtocol(f"its first message is {_shown(data)}") from None
    if body.get("label") == rtvi.LABEL:
        return JsonWire
    if str(body.get("type")).startswith("bidi_"):
        return StrandsWire
    if isinstance(body.get("event"), dict):
        return SonicWire
    if isinstance(body.get("event"), str):
        raise VoicecoreError(
            "The agent speaks a phone provider's media protocol: "
            f"its first message is {_shown(data)}.",
            "Call its server as the provider does:  voicecore talk --phone twilio --url https://…",
        )
    raise UnknownProtocol(f"its first message is {_shown(data)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
