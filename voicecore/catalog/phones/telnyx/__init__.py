"""Telnyx: the record of the phone provider."""

from voicecore.catalog.phones.record import ConsoleField, Phone

PHONE = Phone(
    name="telnyx",
    title="Telnyx",
    secrets=("TELNYX_API_KEY", "TELNYX_PUBLIC_KEY"),
    calling=("TELNYX_CONNECTION_ID",),
    proof="Ed25519 signature of time and body",
    place="Voice → Programmable Voice → TeXML Applications → the application",
    fields=(
        ConsoleField("Send a TeXML webhook to the URL"),
        ConsoleField("Status callback", "/status"),
    ),
)
