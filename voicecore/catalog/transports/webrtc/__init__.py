"""The WebRTC transport: its record, and what it adds to a project (template/)."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="webrtc",
    title="WebRTC",
    summary="audio over UDP through a TURN relay, straight to the agent; no media server",
    consistency="excellent",
    effort="medium",
    best_for="production",
    pipecat_extras=("webrtc",),
    invoked=True,
    turn=True,
)
