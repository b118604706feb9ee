"""Plivo: the record of the phone provider."""

from voicecore.catalog.phones.record import ConsoleField, Phone

PHONE = Phone(
    name="plivo",
    title="Plivo",
    secrets=("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
    proof="HMAC-SHA256 of URL, form and a nonce, keyed with the auth token",
    place="Voice → Applications → XML → the application",
    fields=(ConsoleField("Primary answer URL"), ConsoleField("Hangup URL", "/status")),
)
