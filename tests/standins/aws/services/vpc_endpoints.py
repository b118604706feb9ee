"""Owns what moto's VPC endpoints lack: which services there are, private names, groups in use.

Rules are those of the PrivateLink Guide (create-interface-endpoint, autumn 2026).
"""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.models.refusal import Refused

# AWS services with interface endpoints that voicecore's agents may need; AWS has many more.
SERVICES = (
    "bedrock-runtime", "ecr.api", "ecr.dkr", "logs", "monitoring", "polly", "secretsmanager",
    "sts", "transcribestreaming", "xray",
)  # fmt: skip


def _backend(call: Call) -> Any:
    return get_backend("ec2")[call.account][call.region]


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    backend, p = _backend(call), call.params
    service, vpc = p["ServiceName"], p["VpcId"]
    interface = p.get("VpcEndpointType") == "Interface"
    name = service.removeprefix(f"com.amazonaws.{call.region}.")
    if name not in (SERVICES if interface else ("s3", "dynamodb")):
        message = f"The Vpc Endpoint Service '{service}' does not exist"
        raise Refused("InvalidServiceName", message, 400)
    if interface and p.get("PrivateDnsEnabled"):
        _check_private_dns(backend, vpc, service)
    answer = call.moto()
    answer["VpcEndpoint"]["State"] = answer["VpcEndpoint"]["State"].capitalize()
    return answer


def _check_private_dns(backend: Any, vpc: str, service: str) -> None:
    found = backend.get_vpc(vpc)
    if not (found.enable_dns_support and found.enable_dns_hostnames):
        message = (
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC "
            f"attributes set to true for {vpc}"
        )
        raise Refused("InvalidParameter", message, 400)
    for other in backend.vpc_end_points.values():
        same = (other.vpc_id, other.service_name) == (vpc, service)
        if same and other.state != "deleted" and other.private_dns_enabled:
            message = (
                "private-dns-enabled cannot be set because there is already a conflicting DNS "
                f"domain for {service} in the VPC {vpc}"
            )
            raise Refused("InvalidParameter", message, 400)


def describe_services(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Return the services of the region, each in all its zones."""
    p, head = call.params, f"com.amazonaws.{call.region}."
    names = [head + each for each in SERVICES]
    zones = [zone.name for zone in _backend(call).describe_availability_zones()]
    wanted = p.get("ServiceNames") or [
        value for each in p.get("Filters", []) if each["Name"] == "service-name"
        for value in each["Values"]
    ]  # fmt: skip
    for name in p.get("ServiceNames", []):
        if name not in names:
            message = f"The Vpc Endpoint Service '{name}' does not exist"
            raise Refused("InvalidServiceName", message, 400)
    found = [name for name in names if not wanted or name in wanted]
    return {
        "ServiceNames": found,
        "ServiceDetails": [
            {
                "ServiceName": name,
                "ServiceType": [{"ServiceType": "Interface"}],
                "AvailabilityZones": zones,
                "Owner": "amazon",
            }
            for name in found
        ],
    }


def of_group(backend: Any, group: str) -> bool:
    """Return whether an endpoint has this security group."""
    return any(
        group in (each.security_group_ids or ()) and each.state != "deleted"
        for each in backend.vpc_end_points.values()
    )


HANDLERS = {
    ("ec2", "CreateVpcEndpoint"): create,
    ("ec2", "DescribeVpcEndpointServices"): describe_services,
}
