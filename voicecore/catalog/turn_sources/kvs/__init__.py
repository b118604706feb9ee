"""Amazon Kinesis Video Streams: its record, and the module it adds to a project (template/)."""

from voicecore.catalog.turn_sources.record import TurnSource

SOURCE = TurnSource(
    name="kvs",
    title="Amazon Kinesis Video Streams",
    needs=("TURN_CHANNEL_PREFIX", "TURN_CHANNEL_COUNT"),
    udp_port=443,
)
