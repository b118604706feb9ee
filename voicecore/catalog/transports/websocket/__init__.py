"""WebSocket: the record of the transport."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="websocket",
    title="WebSocket",
    summary="a presigned URL, then audio flows straight between client and AgentCore",
    audio="may stutter on bad networks",
    effort="simple",
    best_for="prototypes",
    pipecat_extras=("websocket",),
    client="voicecore.talk.transports.websocket",
)
