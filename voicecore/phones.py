"""The registry of telephone providers: one record for each that can carry calls to an agent.

A provider is its record here and its folder in templates/phones/; no command knows any by name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phone:
    """A telephone provider, with what a server needs of it."""

    name: str
    title: str
    secrets: tuple[str, ...]
    """The environment variables that a server cannot do without."""
    calling: tuple[str, ...] = ()
    """Those that it needs besides, to call somebody."""
    encoding: str = "audio/x-mulaw"
    """Of the sound on its media socket."""
    rate: int = 8000
    """Samples a second."""
    proof: str = ""
    """How its requests are known to be its own."""


PHONES = {
    phone.name: phone
    for phone in (
        Phone(
            name="twilio",
            title="Twilio",
            secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
            proof="HMAC-SHA1 by the auth token, of the address and the form",
        ),
        Phone(
            name="telnyx",
            title="Telnyx",
            secrets=("TELNYX_API_KEY", "TELNYX_PUBLIC_KEY"),
            calling=("TELNYX_CONNECTION_ID",),
            proof="Ed25519, of the time and the body",
        ),
        Phone(
            name="plivo",
            title="Plivo",
            secrets=("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
            proof="HMAC-SHA256 by the auth token, of the address, the form and a nonce",
        ),
        Phone(
            name="exotel",
            title="Exotel",
            secrets=("EXOTEL_ACCOUNT_SID", "EXOTEL_API_KEY", "EXOTEL_API_TOKEN"),
            calling=("EXOTEL_APP_ID",),
            encoding="audio/l16",
            proof="key and token, by HTTP basic authentication",
        ),
        Phone(
            name="vonage",
            title="Vonage",
            secrets=("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY", "VONAGE_SIGNATURE_SECRET"),
            encoding="audio/l16",
            rate=16_000,
            proof="a JWT by the signature secret, with the body's hash",
        ),
    )
}

DEFAULT = "twilio"
