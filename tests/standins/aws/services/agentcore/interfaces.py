"""Owns network interfaces: one per subnet and set of security groups, shared by runtimes."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Caller, Cloud
from tests.standins.aws.services.agentcore.state import RegionState, Runtime


def create_interfaces(cloud: Cloud, call: Call, regional: RegionState) -> None:
    config = call.params.get("networkConfiguration", {}).get("networkModeConfig", {})
    if not config:
        return
    groups = frozenset(config["securityGroups"])
    ec2 = cloud.client("ec2", call.region, call.caller, "bedrock-agentcore")
    for subnet in config["subnets"]:
        if (subnet, groups) in regional.interfaces:
            continue
        made = ec2.create_network_interface(
            SubnetId=subnet,
            Groups=sorted(groups),
            Description="AWS managed network interface of Amazon Bedrock AgentCore",
            TagSpecifications=[
                {
                    "ResourceType": "network-interface",
                    "Tags": [{"Key": "AmazonBedrockAgentCoreManaged", "Value": "true"}],
                }
            ],
        )["NetworkInterface"]
        regional.interfaces[subnet, groups] = [made["NetworkInterfaceId"]]


def release_interfaces(cloud: Cloud, regional: RegionState, gone: Runtime) -> None:
    used = {
        key for r in regional.runtimes.values() for s in r.versions for key in _interface_keys(s)
    }
    free = {key for settings in gone.versions for key in _interface_keys(settings)} - used
    lingering: list[tuple[float, Caller, str, str]] = cloud.setdefault(list, "interfaces")
    for key in free & set(regional.interfaces):
        for id in regional.interfaces.pop(key):
            until = gone.state.until + cloud.durations.interfaces_linger
            lingering.append((until, gone.caller, gone.region, id))


def _interface_keys(settings: dict[str, Any]) -> set[tuple[str, frozenset[str]]]:
    config = settings["networkConfiguration"].get("networkModeConfig", {})
    return {(s, frozenset(config["securityGroups"])) for s in config.get("subnets", [])}
