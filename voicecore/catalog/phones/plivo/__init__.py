"""Plivo: its record, and what it adds to a project (template/)."""

from voicecore.catalog.phones.record import Field, Phone

PHONE = Phone(
    name="plivo",
    title="Plivo",
    secrets=("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
    proof="HMAC-SHA256 by the auth token, of the address, the form and a nonce",
    place="Voice → Applications → XML → the application",
    fields=(Field("Primary answer URL"), Field("Hangup URL", "/status")),
)
