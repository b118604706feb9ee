"""Cloudflare: its record, and the module it adds to a project (template/)."""

from voicecore.catalog.turn_sources.record import TurnSource

SOURCE = TurnSource(
    name="cloudflare",
    title="Cloudflare",
    needs=("CLOUDFLARE_TURN_KEY_ID", "CLOUDFLARE_TURN_API_TOKEN"),
    credentials_hint="CLOUDFLARE_TURN_KEY_ID and CLOUDFLARE_TURN_API_TOKEN come from a TURN key in "
    "Cloudflare's dashboard (Realtime, TURN server); an account's API token does not work.",
    udp_port=3478,
    example=("CLOUDFLARE_TURN_KEY_ID=", "CLOUDFLARE_TURN_API_TOKEN="),
)
