"""Telnyx: its record, and what it adds to a project (template/)."""

from voicecore.catalog.phones.record import Field, Phone

PHONE = Phone(
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
)
