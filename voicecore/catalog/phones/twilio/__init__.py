"""Twilio: the record of the phone provider."""

from voicecore.catalog.phones.record import ConsoleField, Phone

PHONE = Phone(
    name="twilio",
    title="Twilio",
    secrets=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    proof="HMAC-SHA1 of URL and form, keyed with the auth token",
    call_id_is_session_id=True,
    place="Phone Numbers → Manage → Active numbers → your number → Voice configuration",
    fields=(
        ConsoleField("A call comes in: Webhook"),
        ConsoleField("Call status changes", "/status"),
    ),
)
