"""Daily: the record of the transport."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="daily",
    title="Daily",
    summary="a Daily room per call; phone numbers and SIP are optional",
    audio="smooth on bad networks",
    effort="simple",
    best_for="phones, groups",
    pipecat_extras=("daily",),
    # A library has the name `daily`.
    client="voicecore.talk.transports.daily",
    client_library="daily",
    invoked=True,
    # Its TURN servers and its media servers (Daily's Networking Guide).
    udp_ports=((443, 443), (3478, 3478), (40_000, 65_534)),
    not_public="Daily's audio needs UDP, which AgentCore's PUBLIC network blocks",
    internet="Daily's servers",
    key="DAILY_API_KEY",
    webhooks=True,
)
