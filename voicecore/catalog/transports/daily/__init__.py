"""The Daily transport: its record, and what it adds to a project (template/)."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="daily",
    title="Daily",
    summary="a room of Daily's for each call, with phone numbers and SIP if you like",
    consistency="excellent",
    effort="simple",
    best_for="phones, groups",
    pipecat_extras=("daily",),
    invoked=True,
    # Daily's TURN servers, and its media servers (Daily's Networking Guide).
    udp_ports=((443, 443), (3478, 3478), (40_000, 65_534)),
    not_public="Daily's sound goes by UDP, and none gets out of AgentCore's PUBLIC network",
    spoken=False,
    library="daily",
    key="DAILY_API_KEY",
    doors=True,
)
