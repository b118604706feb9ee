"""AgentCore's control plane: runtimes, versions, endpoints, and the interfaces they leave behind.

Rules and limits: AgentCore API Reference and Developer Guide (runtime-*, agentcore-vpc,
bedrock-agentcore-limits), autumn 2026. The wording of refusals is AWS's where users quoted it.
"""

from __future__ import annotations

import fnmatch
import json
import re
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloud import Call, Caller, Cloud
from tests.standins.aws.http import operations
from tests.standins.aws.services import quotas
from tests.standins.aws.services.ecr import Registry
from tests.standins.aws.services.zones import SUPPORTED
from tests.standins.aws.timed_state import TimedState, timed_state
from tests.standins.models.refusal import Refused

SERVICE = "bedrock-agentcore-control"
REGIONS = frozenset(SUPPORTED)
DEFAULT = "DEFAULT"
_TERMINAL = ("READY", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
_ENVIRONMENT_BYTES = 4096  # all variables together, platform V1
_IMAGE_BYTES = 2 * 10**9
_NETWORK_ROLE = "AWSServiceRoleForBedrockAgentCoreNetwork"
_NETWORK_PRINCIPAL = "network.bedrock-agentcore.amazonaws.com"
_PULL = ("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_SETTINGS = (
    "agentRuntimeArtifact", "roleArn", "networkConfiguration", "description",
    "authorizerConfiguration", "requestHeaderConfiguration", "protocolConfiguration",
    "lifecycleConfiguration", "environmentVariables", "filesystemConfigurations",
    "capacityProviderConfiguration", "platformVersion", "metadataConfiguration",
    "hooksConfiguration", "allowedPorts", "resourceConfigurations",
)  # fmt: skip


@dataclass
class Endpoint:
    name: str
    id: str
    target: str
    created: Any
    updated: Any
    state: TimedState
    live: str = ""
    description: str | None = None


@dataclass
class Runtime:
    id: str
    name: str
    arn: str
    created: Any
    caller: Caller
    region: str
    state: TimedState
    versions: list[dict[str, Any]] = field(default_factory=list)
    updated: list[Any] = field(default_factory=list)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return str(len(self.versions))


@dataclass
class RegionState:
    """One account's AgentCore in one region."""

    runtimes: dict[str, Runtime] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    interfaces: dict[tuple[str, frozenset[str]], list[str]] = field(default_factory=dict)


def region_state(cloud: Cloud, call: Call) -> RegionState:
    place: RegionState = cloud.setdefault(RegionState, "agentcore", *call.place)
    _settle(cloud, place)
    return place


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    place, p = region_state(cloud, call), call.params
    if answered := _repeated(place, p):
        return answered
    if any(r.name == p["agentRuntimeName"] for r in place.runtimes.values()):
        name = p["agentRuntimeName"]
        raise Refused("ConflictException", f"An agent with name '{name}' already exists.", 409)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "L-F4575653")
    if len(place.runtimes) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of agents reached.", 402)
    _check(cloud, call)
    id = _id(p["agentRuntimeName"])
    arn = f"arn:aws:bedrock-agentcore:{call.region}:{call.account}:runtime/{id}"
    now = cloud.clock.now()
    reason = _doomed(cloud, call) or cloud.faults.runtime_failure("CREATE")
    end = "CREATE_FAILED" if reason else "READY"
    state = timed_state(cloud.clock, "CREATING", end, cloud.durations.runtime, reason)
    runtime = Runtime(id, p["agentRuntimeName"], arn, now, call.caller, call.region, state)
    _add_version(runtime, p, now, {"requireMMDSV2": ("old metadata service",) not in cloud.state})
    runtime.endpoints[DEFAULT] = Endpoint(
        DEFAULT, _id(DEFAULT), "1", now, now,
        timed_state(cloud.clock, "CREATING", end, cloud.durations.runtime, reason), "1",
    )  # fmt: skip
    place.runtimes[id] = runtime
    place.tags[arn] = dict(p.get("tags", {}))
    if not reason:
        _make_interfaces(cloud, call, place)
    answer = {
        "agentRuntimeArn": arn,
        "agentRuntimeId": id,
        "agentRuntimeVersion": "1",
        "createdAt": now,
        "status": "CREATING",
        "workloadIdentityDetails": _identity(runtime),
    }
    _remember(place, p, answer)
    return answer


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    place, p = region_state(cloud, call), call.params
    if answered := _repeated(place, p):
        return answered
    runtime = _found(place, p["agentRuntimeId"])
    _settled(cloud, runtime)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "versions")
    if len(runtime.versions) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of versions reached.", 402)
    _check(cloud, call)
    reason = _doomed(cloud, call) or cloud.faults.runtime_failure("UPDATE")
    now, clock = cloud.clock.now(), cloud.clock
    old = runtime.versions[-1]["metadataConfiguration"]
    end = "UPDATE_FAILED" if reason else "READY"
    runtime.state.turn(clock, "UPDATING", end, cloud.durations.runtime, reason)
    if not reason:
        _add_version(runtime, p, now, old)
        _follow(cloud, runtime)
        _make_interfaces(cloud, call, place)
    answer = {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": runtime.version,
        "createdAt": runtime.created,
        "lastUpdatedAt": now,
        "status": "UPDATING",
        "workloadIdentityDetails": _identity(runtime),
    }
    _remember(place, p, answer)
    return answer


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    version = call.params.get("agentRuntimeVersion", runtime.version)
    if not version.isdecimal() or not 0 < int(version) <= len(runtime.versions):
        raise _absent(f"Agent version {version} of {runtime.id}")
    settings = runtime.versions[int(version) - 1]
    answer = {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeName": runtime.name,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": version,
        "createdAt": runtime.created,
        "lastUpdatedAt": runtime.updated[int(version) - 1],
        "status": runtime.state.now(cloud.clock),
        "workloadIdentityDetails": _identity(runtime),
        **settings,
    }
    reason = runtime.state.why(cloud.clock)
    return answer | ({"failureReason": reason} if reason else {})


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    place = region_state(cloud, call)
    runtime = _found(place, call.params["agentRuntimeId"])
    _settled(cloud, runtime)
    runtime.state.turn(cloud.clock, "DELETING", "GONE", cloud.durations.runtime_deletion)
    _settle(cloud, place)
    return {"status": "DELETING", "agentRuntimeId": runtime.id}


def list_all(cloud: Cloud, call: Call) -> dict[str, Any]:
    listed = [_summary(cloud, r, r.version) for r in region_state(cloud, call).runtimes.values()]
    return _page(call, "agentRuntimes", listed)


def list_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    numbers = [str(n + 1) for n in range(len(runtime.versions))]
    return _page(call, "agentRuntimes", [_summary(cloud, runtime, n) for n in numbers])


def create_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    place, p = region_state(cloud, call), call.params
    if answered := _repeated(place, p):
        return answered
    runtime = _found(place, p["agentRuntimeId"])
    _settled(cloud, runtime)
    if p["name"] in runtime.endpoints:
        raise Refused("ConflictException", f"Endpoint '{p['name']}' already exists.", 409)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "L-9B442722")
    if len(runtime.endpoints) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of endpoints reached.", 402)
    version = _version_of(runtime, p)
    now = cloud.clock.now()
    state = timed_state(cloud.clock, "CREATING", "READY", cloud.durations.endpoint)
    made = Endpoint(
        p["name"], _id(p["name"]), version, now, now, state, version, p.get("description")
    )
    runtime.endpoints[p["name"]] = made
    arn = _endpoint_arn(runtime, made)
    place.tags[arn] = dict(p.get("tags", {}))
    answer = {
        "targetVersion": version,
        "agentRuntimeEndpointArn": arn,
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "endpointName": p["name"],
        "status": "CREATING",
        "createdAt": now,
    }
    _remember(place, p, answer)
    return answer


def update_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    _settled(cloud, endpoint)
    endpoint.target = _version_of(runtime, call.params)
    endpoint.description = call.params.get("description", endpoint.description)
    endpoint.updated = cloud.clock.now()
    endpoint.state.turn(cloud.clock, "UPDATING", "READY", cloud.durations.endpoint)
    return {
        "liveVersion": endpoint.live,
        "targetVersion": endpoint.target,
        "agentRuntimeEndpointArn": _endpoint_arn(runtime, endpoint),
        "agentRuntimeArn": runtime.arn,
        "status": "UPDATING",
        "createdAt": endpoint.created,
        "lastUpdatedAt": endpoint.updated,
    }


def get_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    return _described(cloud, runtime, endpoint)


def delete_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    if endpoint.name == DEFAULT:
        raise Refused("ConflictException", "The DEFAULT endpoint goes with its agent.", 409)
    _settled(cloud, endpoint)
    endpoint.state.turn(cloud.clock, "DELETING", "GONE", cloud.durations.endpoint)
    _settle(cloud, region_state(cloud, call))
    return {"status": "DELETING", "agentRuntimeId": runtime.id, "endpointName": endpoint.name}


def list_endpoints(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    listed = [_described(cloud, runtime, e) for e in runtime.endpoints.values()]
    return _page(call, "runtimeEndpoints", listed)


def tag(cloud: Cloud, call: Call) -> dict[str, Any]:
    _tags(cloud, call).update(call.params["tags"])
    return {}


def untag(cloud: Cloud, call: Call) -> dict[str, Any]:
    tags = _tags(cloud, call)
    for key in call.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(cloud: Cloud, call: Call) -> dict[str, Any]:
    return {"tags": dict(_tags(cloud, call))}


HANDLERS = {
    (SERVICE, "CreateAgentRuntime"): create,
    (SERVICE, "UpdateAgentRuntime"): update,
    (SERVICE, "GetAgentRuntime"): get,
    (SERVICE, "DeleteAgentRuntime"): delete,
    (SERVICE, "ListAgentRuntimes"): list_all,
    (SERVICE, "ListAgentRuntimeVersions"): list_versions,
    (SERVICE, "CreateAgentRuntimeEndpoint"): create_endpoint,
    (SERVICE, "UpdateAgentRuntimeEndpoint"): update_endpoint,
    (SERVICE, "GetAgentRuntimeEndpoint"): get_endpoint,
    (SERVICE, "DeleteAgentRuntimeEndpoint"): delete_endpoint,
    (SERVICE, "ListAgentRuntimeEndpoints"): list_endpoints,
    (SERVICE, "TagResource"): tag,
    (SERVICE, "UntagResource"): untag,
    (SERVICE, "ListTagsForResource"): list_tags,
}


def _id(name: str) -> str:
    letters = string.ascii_letters + string.digits
    return f"{name}-{''.join(secrets.choice(letters) for _ in range(10))}"


def _found(place: RegionState, id: str) -> Runtime:
    if id not in place.runtimes:
        raise _absent(f"Agent {id}")
    return place.runtimes[id]


def _endpoint(cloud: Cloud, call: Call) -> tuple[Runtime, Endpoint]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    name = call.params["endpointName"]
    if name not in runtime.endpoints:
        raise _absent(f"Endpoint {name} of {runtime.id}")
    return runtime, runtime.endpoints[name]


def _absent(what: str) -> Refused:
    return Refused("ResourceNotFoundException", f"{what} was not found.", 404)


def _invalid(message: str) -> Refused:
    return Refused("ValidationException", message, 400)


def _settled(cloud: Cloud, thing: Runtime | Endpoint) -> None:
    status = thing.state.now(cloud.clock)
    if status not in _TERMINAL:
        what = "Agent" if isinstance(thing, Runtime) else "Endpoint"
        raise Refused("ConflictException", f"{what} {thing.name} is in {status} state.", 409)


def _tags(cloud: Cloud, call: Call) -> dict[str, str]:
    place = region_state(cloud, call)
    if call.params["resourceArn"] not in place.tags:
        raise _absent(f"Resource {call.params['resourceArn']}")
    return place.tags[call.params["resourceArn"]]


def _settle(cloud: Cloud, place: RegionState) -> None:
    """Takes away what is deleted, and the interfaces that nobody has used for long enough."""
    for runtime in list(place.runtimes.values()):
        for endpoint in list(runtime.endpoints.values()):
            status = endpoint.state.now(cloud.clock)
            if status == "GONE":
                place.tags.pop(_endpoint_arn(runtime, runtime.endpoints.pop(endpoint.name)), None)
            elif status == "READY":
                endpoint.live = endpoint.target
        if runtime.state.now(cloud.clock) == "GONE":
            del place.runtimes[runtime.id]
            for arn in [a for a in place.tags if a.startswith(runtime.arn)]:
                del place.tags[arn]
            _leave_interfaces(cloud, place, runtime)
    lingering: list[tuple[float, Caller, str, str]] = cloud.setdefault(list, "interfaces")
    for each in [each for each in lingering if each[0] <= cloud.clock.seconds()]:
        lingering.remove(each)
        ec2 = cloud.client("ec2", each[2], each[1], "bedrock-agentcore")
        ec2.delete_network_interface(NetworkInterfaceId=each[3])


def settle_all(cloud: Cloud) -> None:
    for _, place in cloud.all_of("agentcore"):
        _settle(cloud, place)


def _add_version(
    runtime: Runtime, params: dict[str, Any], now: Any, metadata: dict[str, Any]
) -> None:
    settings = {name: params[name] for name in _SETTINGS if params.get(name) is not None}
    given = settings.get("lifecycleConfiguration", {})
    longest = given.get("maxLifetime", 28800)
    idle = given.get("idleRuntimeSessionTimeout", min(900, longest))
    settings["lifecycleConfiguration"] = {"idleRuntimeSessionTimeout": idle, "maxLifetime": longest}
    settings.setdefault("networkConfiguration", {"networkMode": "PUBLIC"})
    settings.setdefault("metadataConfiguration", metadata)
    runtime.versions.append(settings)
    runtime.updated.append(now)


def _follow(cloud: Cloud, runtime: Runtime) -> None:
    """DEFAULT always follows the newest version."""
    endpoint = runtime.endpoints[DEFAULT]
    endpoint.target, endpoint.updated = runtime.version, cloud.clock.now()
    endpoint.state.turn(cloud.clock, "UPDATING", "READY", cloud.durations.runtime)


def _version_of(runtime: Runtime, params: dict[str, Any]) -> str:
    version = params.get("agentRuntimeVersion", runtime.version)
    if not version.isdecimal() or not 0 < int(version) <= len(runtime.versions):
        raise _absent(f"Agent version {version} of {runtime.id}")
    return version


def _identity(runtime: Runtime) -> dict[str, str]:
    stem = runtime.arn.partition(":runtime/")[0]
    directory = f"{stem}:workload-identity-directory/default/workload-identity/{runtime.id}"
    return {"workloadIdentityArn": directory}


def _endpoint_arn(runtime: Runtime, endpoint: Endpoint) -> str:
    return f"{runtime.arn}/runtime-endpoint/{endpoint.name}"


def _summary(cloud: Cloud, runtime: Runtime, version: str) -> dict[str, Any]:
    return {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": version,
        "agentRuntimeName": runtime.name,
        "description": runtime.versions[int(version) - 1].get("description", runtime.name),
        "lastUpdatedAt": runtime.updated[int(version) - 1],
        "status": runtime.state.now(cloud.clock),
    }


def _described(cloud: Cloud, runtime: Runtime, endpoint: Endpoint) -> dict[str, Any]:
    status = endpoint.state.now(cloud.clock)
    answer = {
        "name": endpoint.name,
        "id": endpoint.id,
        "liveVersion": endpoint.live,
        "targetVersion": endpoint.target,
        "agentRuntimeEndpointArn": _endpoint_arn(runtime, endpoint),
        "agentRuntimeArn": runtime.arn,
        "status": status,
        "createdAt": endpoint.created,
        "lastUpdatedAt": endpoint.updated,
    }
    if endpoint.description:
        answer["description"] = endpoint.description
    return answer


def _page(call: Call, name: str, listed: list[dict[str, Any]]) -> dict[str, Any]:
    start, size = int(call.params.get("nextToken", 0)), call.params.get("maxResults", 10)
    answer: dict[str, Any] = {name: listed[start : start + size]}
    if start + size < len(listed):
        answer["nextToken"] = str(start + size)
    return answer


def _repeated(place: RegionState, params: dict[str, Any]) -> dict[str, Any] | None:
    token = params.get("clientToken")
    if token not in place.tokens:
        return None
    before, answer = place.tokens[token]
    if before != params:
        message = "The client token was used before with other parameters."
        raise Refused("ConflictException", message, 409)
    return answer


def _remember(place: RegionState, params: dict[str, Any], answer: dict[str, Any]) -> None:
    if token := params.get("clientToken"):
        place.tokens[token] = (params, answer)


# What is checked at once.


def _check(cloud: Cloud, call: Call) -> None:
    p = call.params
    _check_network(cloud, call)
    size = sum(
        len(k.encode()) + len(v.encode()) for k, v in p.get("environmentVariables", {}).items()
    )
    if size > _ENVIRONMENT_BYTES:
        message = f"Total size of environment variables, {size} bytes, exceeds the maximum of 4 KB"
        raise _invalid(message)
    given = p.get("lifecycleConfiguration", {})
    longest = given.get("maxLifetime", 28800)
    if given.get("idleRuntimeSessionTimeout", min(900, longest)) > longest:
        raise _invalid("idleRuntimeSessionTimeout must be less than or equal to maxLifetime")
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
        raise _invalid("NetworkModeConfig is required for VPC mode")
    ec2 = cloud.client("ec2", call.region, call.caller, "bedrock-agentcore")
    try:
        ec2.describe_subnets(SubnetIds=config["subnets"])
        ec2.describe_security_groups(GroupIds=config["securityGroups"])
    except ClientError as e:
        raise _invalid(e.response["Error"]["Message"]) from e
    _need_network_role(cloud, call)


def _check_role(cloud: Cloud, call: Call) -> None:
    arn = call.params["roleArn"]
    message = (
        f"Role validation failed for '{arn}'. Please verify that the role exists and its trust "
        "policy allows assumption by this service"
    )
    iam = cloud.client("iam", "us-east-1", call.caller, "bedrock-agentcore")
    try:
        role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except ClientError as e:
        raise _invalid(message) from e
    if role["Arn"] != arn or not _trusts(role["AssumeRolePolicyDocument"]):
        raise _invalid(message)
    made = cloud.setdefault(dict, "roles").get(arn, -1e9)
    if cloud.clock.seconds() - made < cloud.durations.role_propagation:
        raise _invalid(message)


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
    repository = (
        f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    )
    role = call.params["roleArn"].rpartition("/")[2]
    iam = cloud.client("iam", "us-east-1", call.caller, "bedrock-agentcore")
    missing = [a for a in _PULL if not role_allows(iam, role, a, repository)]
    if missing:
        message = (
            f"Access denied while validating ECR URI '{uri}'. The execution role requires "
            "permissions for ecr:GetAuthorizationToken, ecr:BatchGetImage, and "
            "ecr:GetDownloadUrlForLayer operations."
        )
        raise _invalid(message)
    ecr = cloud.client("ecr", found["region"], call.caller, "bedrock-agentcore")
    image = {k: v for k, v in (("imageDigest", found["digest"]), ("imageTag", found["tag"])) if v}
    try:
        answer = ecr.describe_images(repositoryName=found["repository"], imageIds=[image])
    except ClientError as e:
        message = f"The specified image identifier does not exist in the repository: {uri}"
        raise _invalid(message) from e
    if answer["imageDetails"][0]["imageSizeInBytes"] > _IMAGE_BYTES:
        raise _invalid(f"The image {uri} exceeds the maximum size of 2 GB")


def role_allows(iam: Any, role: str, action: str, resource: str) -> bool:
    """Whether one of the role's inline policies allows the action; attached ones are trusted."""
    if iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        return True
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        document = json.loads(document) if isinstance(document, str) else document
        statements = document["Statement"]
        for each in statements if isinstance(statements, list) else [statements]:
            actions, resources = _several(each["Action"]), _several(each["Resource"])
            if (
                each["Effect"] == "Allow"
                and any(fnmatch.fnmatch(action.lower(), a.lower()) for a in actions)
                and any(fnmatch.fnmatch(resource, r) for r in resources)
            ):
                return True
    return False


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


# What turns out later.


def _doomed(cloud: Cloud, call: Call) -> str | None:
    """Why the runtime will fail to come up, if it will."""
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


# Interfaces: one per subnet and set of security groups, shared by the runtimes on them.


def _make_interfaces(cloud: Cloud, call: Call, place: RegionState) -> None:
    config = call.params.get("networkConfiguration", {}).get("networkModeConfig", {})
    if not config:
        return
    groups = frozenset(config["securityGroups"])
    ec2 = cloud.client("ec2", call.region, call.caller, "bedrock-agentcore")
    for subnet in config["subnets"]:
        if (subnet, groups) in place.interfaces:
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
        place.interfaces[subnet, groups] = [made["NetworkInterfaceId"]]


def _need_network_role(cloud: Cloud, call: Call) -> None:
    iam = cloud.client("iam", "us-east-1", call.caller, "bedrock-agentcore")
    try:
        iam.get_role(RoleName=_NETWORK_ROLE)
    except ClientError:
        try:
            iam.create_service_linked_role(AWSServiceName=_NETWORK_PRINCIPAL)
        except ClientError as e:
            raise operations.common(SERVICE, "AccessDenied", e.response["Error"]["Message"]) from e


def _leave_interfaces(cloud: Cloud, place: RegionState, gone: Runtime) -> None:
    used = {key for r in place.runtimes.values() for s in r.versions for key in _keys(s)}
    free = {key for settings in gone.versions for key in _keys(settings)} - used
    lingering: list[tuple[float, Caller, str, str]] = cloud.setdefault(list, "interfaces")
    for key in free & set(place.interfaces):
        for id in place.interfaces.pop(key):
            until = gone.state.until + cloud.durations.interfaces_linger
            lingering.append((until, gone.caller, gone.region, id))


def _keys(settings: dict[str, Any]) -> set[tuple[str, frozenset[str]]]:
    config = settings["networkConfiguration"].get("networkModeConfig", {})
    return {(s, frozenset(config["securityGroups"])) for s in config.get("subnets", [])}
