"""Amazon Kinesis Video Streams: its record, and the module it adds to a project (template/)."""

from voicecore.catalog.turn_sources.record import TurnSource

SOURCE = TurnSource(
    name="kvs",
    title="Amazon Kinesis Video Streams",
    needs=("TURN_CHANNEL_PREFIX", "TURN_CHANNEL_COUNT"),
    credentials_hint="The channels of a deployed stage issue them:  voicecore status",
    udp_port=443,
)
