"""Vonage: its record, and what it adds to a project (template/)."""

from voicecore.catalog.phones.record import Field, Phone

PHONE = Phone(
    name="vonage",
    title="Vonage",
    secrets=("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY", "VONAGE_SIGNATURE_SECRET"),
    encoding="audio/l16",
    rate=16_000,
    proof="a JWT by the signature secret, with the body's hash",
    place="Applications → the application → Capabilities → Voice",
    fields=(Field("Answer URL"), Field("Event URL", "/status")),
    also="Use signed webhooks",
)
