"""Owns what AWS checks when a runtime is created or updated, and what fails later."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services.agentcore.answers import invalid
from tests.standins.aws.services.ecr import Registry
from tests.standins.aws.services.zones import SUPPORTED

# Bytes of all variables (runtime-troubleshooting; runtime-v2-optimize, containers).
_ENVIRONMENT_BYTES = {"V1": (4096, "4 KB"), "V2": (2560, "2.5 KB")}
# AWS has no complete list: those of its guide of September 2026, and one named in November.
_V2_REGIONS = (
    "us-east-1", "us-east-2", "us-west-2", "eu-west-1", "ap-northeast-1", "eu-central-1",
)  # fmt: skip
_IMAGE_BYTES = 2 * 10**9
_PULL = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def check_request(cloud: Cloud, call: Call) -> None:
    p = call.params
    platform = p.get("platformVersion", "V1")
    if platform not in _ENVIRONMENT_BYTES:
        raise invalid(f"Invalid platformVersion '{platform}'. Supported values: V1, V2")
    if platform == "V2" and call.region not in _V2_REGIONS:
        raise invalid(f"platformVersion V2 is not supported in region {call.region}")
    _check_network(cloud, call)
    size = sum(
        len(k.encode()) + len(v.encode()) for k, v in p.get("environmentVariables", {}).items()
    )
    bytes_max, named = _ENVIRONMENT_BYTES[platform]
    if size > bytes_max:
        message = f"Total size of environment variables, {size} bytes, exceeds the maximum of"
        raise invalid(f"{message} {named}")
    given = p.get("lifecycleConfiguration", {})
    longest = given.get("maxLifetime", 28800)
    if given.get("idleRuntimeSessionTimeout", min(900, longest)) > longest:
        raise invalid("idleRuntimeSessionTimeout must be less than or equal to maxLifetime")
    _check_role(cloud, call)
    container = p["agentRuntimeArtifact"].get("containerConfiguration")
    if container:
        _check_image(cloud, call, container["containerUri"])


def _check_network(cloud: Cloud, call: Call) -> None:
    network = call.params.get("networkConfiguration", {"networkMode": "PUBLIC"})
    if network["networkMode"] != "VPC":
        return
    config = network.get("networkModeConfig")
    if not config:
        raise invalid("NetworkModeConfig is required for VPC mode")
    ec2 = cloud.client("ec2", call.region, call.caller, "bedrock-agentcore")
    try:
        ec2.describe_subnets(SubnetIds=config["subnets"])
        ec2.describe_security_groups(GroupIds=config["securityGroups"])
    except ClientError as e:
        raise invalid(e.response["Error"]["Message"]) from e


def _check_role(cloud: Cloud, call: Call) -> None:
    arn = call.params["roleArn"]
    message = (
        f"Role validation failed for '{arn}'. Please verify that the role exists and its trust "
        "policy allows assumption by this service"
    )
    iam = cloud.client("iam", call.region, call.caller, "bedrock-agentcore")
    try:
        role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except ClientError as e:
        raise invalid(message) from e
    if role["Arn"] != arn or not _trusts(role["AssumeRolePolicyDocument"]):
        raise invalid(message)
    made = cloud.setdefault(dict, "roles").get(arn, -1e9)
    if cloud.clock.seconds() - made < cloud.durations.role_propagation:
        raise invalid(message)


def _trusts(document: dict[str, Any]) -> bool:
    for statement in document.get("Statement", []):
        services = statement.get("Principal", {}).get("Service", [])
        services = [services] if isinstance(services, str) else services
        if statement["Effect"] == "Allow" and "bedrock-agentcore.amazonaws.com" in services:
            return True
    return False


_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def _check_image(cloud: Cloud, call: Call, uri: str) -> None:
    found = _ECR.fullmatch(uri)
    if not found:
        return  # public.ecr.aws
    where = f"{call.partition}:ecr:{found['region']}:{found['account']}"
    repository = f"arn:{where}:repository/{found['repository']}"
    role = call.params["roleArn"].rpartition("/")[2]
    iam = cloud.client("iam", call.region, call.caller, "bedrock-agentcore")
    missing = [a for a in _PULL if not role_allows(iam, role, a, repository)]
    if missing:
        message = (
            f"Access denied while validating ECR URI '{uri}'. The execution role requires "
            "permissions for ecr:GetAuthorizationToken, ecr:BatchGetImage, and "
            "ecr:GetDownloadUrlForLayer operations."
        )
        raise invalid(message)
    ecr = cloud.client("ecr", found["region"], call.caller, "bedrock-agentcore")
    image = {k: v for k, v in (("imageDigest", found["digest"]), ("imageTag", found["tag"])) if v}
    try:
        answer = ecr.describe_images(repositoryName=found["repository"], imageIds=[image])
    except ClientError as e:
        message = f"The specified image identifier does not exist in the repository: {uri}"
        raise invalid(message) from e
    if answer["imageDetails"][0]["imageSizeInBytes"] > _IMAGE_BYTES:
        raise invalid(f"The image {uri} exceeds the maximum size of 2 GB")


def role_allows(iam: Any, role: str, action: str, resource: str) -> bool:
    """Return True when the role allows the action; attached policies allow everything."""
    if iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        return True
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        document = json.loads(document) if isinstance(document, str) else document
        statements = document["Statement"]
        for each in statements if isinstance(statements, list) else [statements]:
            actions, resources = _as_list(each["Action"]), _as_list(each["Resource"])
            if (
                each["Effect"] == "Allow"
                and any(fnmatch.fnmatch(action.lower(), a.lower()) for a in actions)
                and any(fnmatch.fnmatch(resource, r) for r in resources)
            ):
                return True
    return False


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def later_failure(cloud: Cloud, call: Call) -> str | None:
    """Return why the runtime will fail to start; None if it will not."""
    zones = SUPPORTED[call.region]
    container = call.params["agentRuntimeArtifact"].get("containerConfiguration", {})
    found = _ECR.fullmatch(container.get("containerUri", ""))
    registry: Registry | None = cloud.state.get(("registry",))
    if registry and found:
        reference = found["digest"] or found["tag"]
        if "arm64" not in registry.architectures(found["repository"], reference):
            uri = container["containerUri"]
            return f"Architecture incompatible for uri '{uri}'. Supported architectures: [arm64]"
    config = call.params.get("networkConfiguration", {}).get("networkModeConfig", {})
    if not config:
        return None
    ec2 = cloud.client("ec2", call.region, call.caller, "bedrock-agentcore")
    subnets = ec2.describe_subnets(SubnetIds=config["subnets"])["Subnets"]
    bad = [s for s in subnets if s["AvailabilityZoneId"] not in zones]
    if not bad:
        return None
    named = ", ".join(f"{s['SubnetId']} ({s['AvailabilityZoneId']})" for s in bad)
    return (
        f"The following subnets are in unsupported availability zones: {named}. "
        f"Supported availability zones: {', '.join(zones)}"
    )
