"""Vonage: the record of the phone provider."""

from voicecore.catalog.phones.record import PCM, ConsoleField, Phone

PHONE = Phone(
    name="vonage",
    title="Vonage",
    secrets=("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY", "VONAGE_SIGNATURE_SECRET"),
    encoding=PCM,
    rate=16_000,
    proof="a JWT signed with the signature secret, with the body's hash",
    direct="VONAGE_DIRECT",
    place="Applications → the application → Capabilities → Voice",
    fields=(ConsoleField("Answer URL"), ConsoleField("Event URL", "/status")),
    also="Use signed webhooks",
)
