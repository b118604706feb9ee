"""The resource type of signaling channels."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
    tag_pairs,
)


def _channel(c: Context, p: Properties) -> str:
    name = p.get("Name") or c.name(256)
    ttl = {"MessageTtlSeconds": int(p["MessageTtlSeconds"])} if "MessageTtlSeconds" in p else {}
    c.client("kinesisvideo").create_signaling_channel(
        ChannelName=name,
        ChannelType=p.get("Type", "SINGLE_MASTER"),
        **({"SingleMasterConfiguration": ttl} if ttl else {}),
        **({"Tags": c.pairs()} if c.tags else {}),
    )
    return name


def _channel_info(c: Context, physical: str) -> dict[str, Any]:
    video = c.client("kinesisvideo")
    # DescribeSignalingChannel is limited to 5 requests per second and channel.
    asked = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": physical}
    for each in video.list_signaling_channels(ChannelNameCondition=asked)["ChannelInfoList"]:
        if each["ChannelName"] == physical:
            return each
    raise Failed(f"The requested channel is not found or not active. {physical}")


def _channel_settled(c: Context, physical: str) -> bool:
    return _channel_info(c, physical)["ChannelStatus"] == "ACTIVE"


def _channel_gone(c: Context, physical: str) -> bool:
    try:
        _channel_info(c, physical)
    except Failed:
        return True
    return False


def _channel_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    info = _channel_info(c, physical)
    c.client("kinesisvideo").update_signaling_channel(
        ChannelARN=info["ChannelARN"],
        CurrentVersion=info["Version"],
        SingleMasterConfiguration={"MessageTtlSeconds": int(p.get("MessageTtlSeconds", 60))},
    )


def _channel_delete(c: Context, physical: str, p: Properties) -> None:
    arn = _channel_info(c, physical)["ChannelARN"]
    c.client("kinesisvideo").delete_signaling_channel(ChannelARN=arn)


def _channel_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    video, arn = c.client("kinesisvideo"), _channel_info(c, physical)["ChannelARN"]
    if gone:
        video.untag_resource(ResourceARN=arn, TagKeyList=gone)
    if tags:
        video.tag_resource(ResourceARN=arn, Tags=tag_pairs(tags))


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::KinesisVideo::SignalingChannel": ResourceType(
        _channel, _channel_delete,
        lambda c, physical: {"Arn": _channel_info(c, physical)["ChannelARN"]},
        _channel_update, _channel_settled, _channel_gone, _channel_retag, "Name",
    ),
}  # fmt: skip
