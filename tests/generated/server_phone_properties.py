"""Properties of a server's media sockets; test_telephony.py runs them in its environment."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from internal.telephony.provider import BadStart, Provider, Stream
from internal.telephony.providers.exotel import Exotel
from internal.telephony.providers.plivo import Plivo
from internal.telephony.providers.telnyx import Telnyx
from internal.telephony.providers.twilio import Twilio
from internal.telephony.providers.vonage import Vonage
from phone_starts import LINES, ODD_FRAMES, ODD_RATES, start_of, starts

BY_COUNT = settings(max_examples=200, deadline=None)
PROVIDERS: dict[str, Provider] = {
    "twilio": Twilio("AC1", "t"),
    "telnyx": Telnyx("k", "p"),
    "plivo": Plivo("a", "t"),
    "exotel": Exotel("AC1", "k", "t"),
    "vonage": Vonage("app1", "k", "s"),
}


def stream_of(provider: str, message: Any) -> Stream | None:
    """Return what the server reads in a message; None if it refuses it, or waits."""
    with suppress(BadStart):
        return PROVIDERS[provider].stream_start(json.dumps(message))
    return None


def test_every_line_is_known_and_others_are_told() -> None:
    """As agent_phone_properties.py: an agent must not refuse what its server takes."""
    for provider, encoding, rate in LINES:
        stream = stream_of(provider, start_of(provider, encoding, rate))
        assert stream and stream.heard.is_known, (provider, encoding, rate)
        for odd in ODD_RATES:
            stream = stream_of(provider, start_of(provider, encoding, odd))
            assert stream and stream.heard.is_known == (odd in ("8000", 48_000)), (provider, odd)


@BY_COUNT
@given(starts())
def test_any_start_is_read_or_refused(start: tuple[str, dict[str, Any]]) -> None:
    provider, message = start
    stream = stream_of(provider, message)
    if stream:
        assert stream.played.is_known
        assert len(stream.heard.encoding) <= 40
    assert isinstance(PROVIDERS[provider].audio_of(json.dumps(message)), bytes | None)


def test_any_frame_is_no_start() -> None:
    for name, provider in PROVIDERS.items():
        for text in ODD_FRAMES:
            with suppress(BadStart):
                raise AssertionError((name, provider.stream_start(text), text[:40]))
            provider.audio_of(text)
            provider.is_mark(text, "goodbye")
