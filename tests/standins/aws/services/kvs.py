"""Owns signaling channels of Kinesis Video Streams, and the TURN credentials that they issue.

Limits are from the KVS WebRTC Developer Guide (kvswebrtc-limits); the shape of answers is from
public logs of its SDKs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.timed_state import TimedState, timed_state
from tests.standins.models.refusal import Refused

REGIONS = frozenset((
    "us-east-1", "us-east-2", "us-west-2", "ca-central-1", "sa-east-1", "eu-central-1",
    "eu-west-1", "eu-west-2", "eu-west-3", "eu-south-2", "af-south-1", "me-south-1", "ap-east-1",
    "ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2",
    "ap-southeast-5",
))  # fmt: skip
_TTL = 300  # seconds that TURN credentials are valid
_PER_CHANNEL = 5  # calls per second of GetIceServerConfig, DescribeSignalingChannel, Delete
_PER_ACCOUNT = {"GetIceServerConfig": 100, "CreateSignalingChannel": 50,
                "DeleteSignalingChannel": 50, "DescribeSignalingChannel": 300,
                "GetSignalingChannelEndpoint": 300}  # fmt: skip


@dataclass
class Channel:
    name: str
    arn: str
    created: Any
    state: TimedState
    kind: str
    ttl: int
    tags: dict[str, str]
    version: int = 1


@dataclass
class RegionState:
    channels: dict[str, Channel] = field(default_factory=dict)
    calls: dict[str, deque[float]] = field(default_factory=dict)


@dataclass
class Turn:
    """A real TURN server: its URIs, and the secret that it shares (coturn's use-auth-secret).

    Without URIs, the answers look like AWS's and point to no server.
    """

    uris: tuple[str, ...] = ()
    secret: str = "not checked"


def region_state(cloud: Cloud, call: Call) -> RegionState:
    regional: RegionState = cloud.setdefault(RegionState, "video", *call.account_region)
    for channel in list(regional.channels.values()):
        if channel.state.now(cloud.clock) == "GONE":
            del regional.channels[channel.name]
    return regional


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    _throttle(cloud, regional, call)
    name = p["ChannelName"]
    if name in regional.channels:
        message = f"Channel with name {name} already exists or is being deleted."
        raise Refused("ResourceInUseException", message, 400)
    if p.get("ChannelType", "SINGLE_MASTER") != "SINGLE_MASTER":
        raise Refused("InvalidArgumentException", "FULL_MESH channels are not imitated.", 400)
    now = cloud.clock.now()
    arn = (
        f"arn:{call.partition}:kinesisvideo:{call.region}:{call.account}:channel/{name}/"
        f"{int(now.timestamp() * 1000)}"
    )
    state = timed_state(cloud.clock, "CREATING", "ACTIVE", cloud.durations.channel)
    ttl = p.get("SingleMasterConfiguration", {}).get("MessageTtlSeconds", 60)
    tags = {tag["Key"]: tag["Value"] for tag in p.get("Tags", [])}
    regional.channels[name] = Channel(name, arn, now, state, "SINGLE_MASTER", ttl, tags)
    return {"ChannelARN": arn}


def describe(cloud: Cloud, call: Call) -> dict[str, Any]:
    channel = _found(cloud, call)
    _throttle(cloud, region_state(cloud, call), call, channel)
    return {"ChannelInfo": _info(cloud, channel)}


def list_all(cloud: Cloud, call: Call) -> dict[str, Any]:
    prefix = call.params.get("ChannelNameCondition", {}).get("ComparisonValue", "")
    listed = [c for c in region_state(cloud, call).channels.values() if c.name.startswith(prefix)]
    start, size = int(call.params.get("NextToken", 0)), call.params.get("MaxResults", 100)
    answer = {"ChannelInfoList": [_info(cloud, c) for c in listed[start : start + size]]}
    return answer | ({"NextToken": str(start + size)} if start + size < len(listed) else {})


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    channel = _active(cloud, call)
    _check_version(channel, call)
    channel.ttl = call.params.get("SingleMasterConfiguration", {}).get("MessageTtlSeconds", 60)
    channel.version += 1
    channel.state.change(cloud.clock, "UPDATING", "ACTIVE", cloud.durations.channel)
    return {}


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    channel = _active(cloud, call)
    _throttle(cloud, region_state(cloud, call), call, channel)
    _check_version(channel, call)
    channel.state.change(cloud.clock, "DELETING", "GONE", cloud.durations.channel)
    return {}


def endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    _active(cloud, call)
    _throttle(cloud, region_state(cloud, call), call)
    config = call.params.get("SingleMasterChannelEndpointConfiguration", {})
    url = cloud.setdefault(dict, "addresses").get("url", "")
    # One address serves all channels; in AWS each channel has its own host.
    made = {"HTTPS": url, "WSS": url.replace("http", "ws", 1), "WEBRTC": url}
    protocols = config.get("Protocols", ["WSS", "HTTPS"])
    return {
        "ResourceEndpointList": [{"Protocol": p, "ResourceEndpoint": made[p]} for p in protocols]
    }


def ice_server_config(cloud: Cloud, call: Call) -> dict[str, Any]:
    channel = _active(cloud, call)
    _throttle(cloud, region_state(cloud, call), call, channel)
    turn: Turn = cloud.setdefault(Turn, "turn")
    expiry = int(cloud.clock.now().timestamp()) + _TTL
    blob = base64.b64encode(f"{channel.arn}:{call.params.get('ClientId', '')}".encode()).decode()
    username = f"{expiry}:{blob}"[:256]
    digest = hmac.new(turn.secret.encode(), username.encode(), hashlib.sha1).digest()
    server = {"Username": username, "Password": base64.b64encode(digest).decode(), "Ttl": _TTL}
    if turn.uris:
        return {"IceServerList": [{"Uris": list(turn.uris), **server}]}
    hosts = [
        f"192-0-2-{n}.t-{digest.hex()[:8]}.kinesisvideo.{call.region}.amazonaws.com" for n in (1, 2)
    ]
    return {"IceServerList": [{"Uris": _uris(host), **server} for host in hosts]}


def _uris(host: str) -> list[str]:
    return [
        f"turn:{host}:443?transport=udp",
        f"turns:{host}:443?transport=udp",
        f"turns:{host}:443?transport=tcp",
    ]


def tag(cloud: Cloud, call: Call) -> dict[str, Any]:
    channel = _by_arn(cloud, call, call.params["ResourceARN"])
    channel.tags.update({tag["Key"]: tag["Value"] for tag in call.params["Tags"]})
    return {}


def untag(cloud: Cloud, call: Call) -> dict[str, Any]:
    channel = _by_arn(cloud, call, call.params["ResourceARN"])
    for key in call.params["TagKeyList"]:
        channel.tags.pop(key, None)
    return {}


def list_tags(cloud: Cloud, call: Call) -> dict[str, Any]:
    return {"Tags": dict(_by_arn(cloud, call, call.params["ResourceARN"]).tags)}


_SERVICE = "kinesisvideo"
HANDLERS = {
    (_SERVICE, "CreateSignalingChannel"): create,
    (_SERVICE, "DescribeSignalingChannel"): describe,
    (_SERVICE, "ListSignalingChannels"): list_all,
    (_SERVICE, "UpdateSignalingChannel"): update,
    (_SERVICE, "DeleteSignalingChannel"): delete,
    (_SERVICE, "GetSignalingChannelEndpoint"): endpoint,
    (_SERVICE, "TagResource"): tag,
    (_SERVICE, "UntagResource"): untag,
    (_SERVICE, "ListTagsForResource"): list_tags,
    ("kinesis-video-signaling", "GetIceServerConfig"): ice_server_config,
}


def _found(cloud: Cloud, call: Call) -> Channel:
    name, arn = call.params.get("ChannelName"), call.params.get("ChannelARN")
    if arn:
        return _by_arn(cloud, call, arn)
    channels = region_state(cloud, call).channels
    if name not in channels:
        message = f"The requested channel is not found or not active. {name}"
        raise Refused("ResourceNotFoundException", message, 404)
    return channels[name]


def _by_arn(cloud: Cloud, call: Call, arn: str) -> Channel:
    for channel in region_state(cloud, call).channels.values():
        if channel.arn == arn:
            return channel
    message = "The requested channel is not found or not active."
    raise Refused("ResourceNotFoundException", message, 404)


def _active(cloud: Cloud, call: Call) -> Channel:
    channel = _found(cloud, call)
    status = channel.state.now(cloud.clock)
    if status != "ACTIVE":
        message = f"The channel {channel.name} is {status}, not ACTIVE."
        raise Refused("ResourceInUseException", message, 400)
    return channel


def _check_version(channel: Channel, call: Call) -> None:
    given = call.params.get("CurrentVersion")
    if given is not None and given != _version(channel):
        raise Refused("VersionMismatchException", "The stream version is not the latest.", 400)


def _version(channel: Channel) -> str:
    return hashlib.sha256(f"{channel.arn}{channel.version}".encode()).hexdigest()[:20]


def _info(cloud: Cloud, channel: Channel) -> dict[str, Any]:
    return {
        "ChannelName": channel.name,
        "ChannelARN": channel.arn,
        "ChannelType": channel.kind,
        "ChannelStatus": channel.state.now(cloud.clock),
        "CreationTime": channel.created,
        "SingleMasterConfiguration": {"MessageTtlSeconds": channel.ttl},
        "Version": _version(channel),
    }


def _throttle(
    cloud: Cloud, regional: RegionState, call: Call, channel: Channel | None = None
) -> None:
    """Throttle calls above AWS's rates."""
    now = cloud.clock.seconds()
    limits = [(call.operation, _PER_ACCOUNT.get(call.operation, 10**9))]
    if channel is not None:
        limits.append((f"{call.operation} {channel.name}", _PER_CHANNEL))
    for key, limit in limits:
        calls = regional.calls.setdefault(key, deque())
        while calls and calls[0] <= now - 1:
            calls.popleft()
        if len(calls) >= limit:
            raise Refused("ClientLimitExceededException", "Rate exceeded", 400)
    for key, _ in limits:
        regional.calls[key].append(now)
