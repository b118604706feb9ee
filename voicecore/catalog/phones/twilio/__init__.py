"""Twilio: its record, and what it adds to a project (template/)."""

from voicecore.catalog.phones.record import Field, Phone

PHONE = Phone(
    name="twilio",
    title="Twilio",
    secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    proof="HMAC-SHA1 by the auth token, of the address and the form",
    place="Phone Numbers → Manage → Active numbers → your number → Voice configuration",
    fields=(Field("A call comes in: Webhook"), Field("Call status changes", "/status")),
)
