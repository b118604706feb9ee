"""Telephone: the record of the transport."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="telephony",
    title="Telephone",
    summary="a provider's media stream, bridged to the agent by the session server",
    audio="as good as the line",
    effort="medium",
    best_for="phone numbers",
    pipecat_extras=("websocket",),
    browser=False,
    by_phone=True,
    # Its session server stands in the agent's network.
    internet="the phone provider",
)
