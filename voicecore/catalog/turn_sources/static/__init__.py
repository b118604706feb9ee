"""Servers with fixed credentials: their record, and the module for a project (template/)."""

from voicecore.catalog.turn_sources.record import TurnSource

SOURCE = TurnSource(
    name="static",
    title="your own servers",
    needs=("ICE_SERVER_URLS",),
    credentials_hint="Check ICE_SERVER_USERNAME and ICE_SERVER_CREDENTIAL.",
    urls="ICE_SERVER_URLS",
    example=(
        "ICE_SERVER_URLS=turn:turn.example.com:3478",
        "ICE_SERVER_USERNAME=",
        "ICE_SERVER_CREDENTIAL=",
    ),
)
