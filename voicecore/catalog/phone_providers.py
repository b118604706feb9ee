"""The registry of telephone providers: one record for each that can carry calls to an agent.

A provider is its record here and its folder in templates/phones/; no command knows any by name.
"""

from __future__ import annotations

from dataclasses import dataclass

KEYS = "<api key>:<api token>"
"""In the place of a login: no address with a true one is ever shown."""


@dataclass(frozen=True)
class Field:
    """A field at a provider that takes an address of the session server."""

    title: str
    """As the provider names it."""
    path: str = ""
    """Behind /phone/<provider>."""
    method: str = "POST"
    """By which the provider is to ask there; empty where nobody can choose."""
    login: str = ""
    """In the address, where that is all by which the provider shows who it is."""


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
    place: str = ""
    """Where at the provider the fields are."""
    fields: tuple[Field, ...] = ()
    also: str = ""
    """What to choose beside them."""

    def webhook(self, origin: str) -> str:
        """Where it asks a server at this origin what to do with a call."""
        return f"{origin.rstrip('/')}/phone/{self.name}"

    def typed(self, origin: str) -> tuple[tuple[str, str, str], ...]:
        """What to type at the provider: field, address and method, for a server at this origin."""
        scheme, _, host = origin.partition("://")
        return tuple(
            (
                field.title,
                self.webhook(f"{scheme}://{field.login}{'@' * bool(field.login)}{host}")
                + field.path,
                field.method,
            )
            for field in self.fields
        )


PHONES = {
    phone.name: phone
    for phone in (
        Phone(
            name="twilio",
            title="Twilio",
            secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
            proof="HMAC-SHA1 by the auth token, of the address and the form",
            place="Phone Numbers → Manage → Active numbers → your number → Voice configuration",
            fields=(Field("A call comes in: Webhook"), Field("Call status changes", "/status")),
        ),
        Phone(
            name="telnyx",
            title="Telnyx",
            secrets=("TELNYX_API_KEY", "TELNYX_PUBLIC_KEY"),
            calling=("TELNYX_CONNECTION_ID",),
            proof="Ed25519, of the time and the body",
            place="Voice → Programmable Voice → TeXML Applications → the application",
            fields=(
                Field("Send a TeXML webhook to the URL"),
                Field("Status callback", "/status"),
            ),
        ),
        Phone(
            name="plivo",
            title="Plivo",
            secrets=("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
            proof="HMAC-SHA256 by the auth token, of the address, the form and a nonce",
            place="Voice → Applications → XML → the application",
            fields=(Field("Primary answer URL"), Field("Hangup URL", "/status")),
        ),
        Phone(
            name="exotel",
            title="Exotel",
            secrets=("EXOTEL_ACCOUNT_SID", "EXOTEL_API_KEY", "EXOTEL_API_TOKEN"),
            calling=("EXOTEL_APP_ID",),
            encoding="audio/l16",
            proof="key and token, by HTTP basic authentication",
            place="App Bazaar → the app → its applet Voicebot",
            fields=(Field("URL", method="", login=KEYS),),
        ),
        Phone(
            name="vonage",
            title="Vonage",
            secrets=("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY", "VONAGE_SIGNATURE_SECRET"),
            encoding="audio/l16",
            rate=16_000,
            proof="a JWT by the signature secret, with the body's hash",
            place="Applications → the application → Capabilities → Voice",
            fields=(Field("Answer URL"), Field("Event URL", "/status")),
            also="Use signed webhooks",
        ),
    )
}

DEFAULT = "twilio"
