"""WebSocket: the record of the transport."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="websocket",
    title="WebSocket",
    summary="a presigned URL, then audio flows straight between client and AgentCore",
    consistency="good",
    effort="simple",
    best_for="prototypes, light use",
    pipecat_extras=("websocket",),
    client="voicecore.talk.transports.websocket",
)
