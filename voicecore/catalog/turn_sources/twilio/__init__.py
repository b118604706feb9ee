"""Twilio: its record, and the module it adds to a project (template/)."""

from voicecore.catalog.turn_sources.record import TurnSource

SOURCE = TurnSource(
    name="twilio",
    title="Twilio",
    needs=("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    credentials_hint="TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are on the first page of the Twilio "
    "Console.",
    udp_port=3478,
    example=("TWILIO_ACCOUNT_SID=", "TWILIO_AUTH_TOKEN="),
)
