"""Your own coturn: its record, and the module it adds to a project (template/)."""

from voicecore.catalog.turn_sources.record import TurnSource

SOURCE = TurnSource(
    name="coturn",
    title="your own coturn",
    needs=("COTURN_URLS", "COTURN_SECRET"),
    credentials_hint="COTURN_SECRET must be the static-auth-secret of your coturn, which needs "
    "use-auth-secret; and both clocks must agree:  date -u",
    urls="COTURN_URLS",
    example=(
        "COTURN_URLS=turn:turn.example.com:3478,turns:turn.example.com:443?transport=tcp",
        "COTURN_SECRET=",
    ),
)
