"""WebRTC: the record of the transport."""

from voicecore.catalog.transports.record import Transport

TRANSPORT = Transport(
    name="webrtc",
    title="WebRTC",
    summary="audio over UDP through a TURN relay, straight to the agent; no media server",
    audio="smooth on bad networks",
    effort="medium",
    best_for="production",
    pipecat_extras=("webrtc",),
    client="voicecore.talk.transports.webrtc",
    invoked=True,
    turn=True,
    # No TURN source has a VPC endpoint, Kinesis Video Streams included (AWS ML blog, March 2026).
    internet="a TURN relay",
)
