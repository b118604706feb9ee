"""Owns AgentCore's control plane: runtimes, versions, endpoints, and their lingering interfaces.

Rules and limits are from the AgentCore API Reference and Developer Guide (runtime-*, agentcore-vpc,
bedrock-agentcore-limits), autumn 2026. Error messages are AWS's where users quoted them.
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
from tests.standins.aws.services import quotas
from tests.standins.aws.services.ecr import Registry
from tests.standins.aws.services.zones import SUPPORTED
from tests.standins.aws.timed_state import TimedState, timed_state
from tests.standins.models.refusal import Refused

SERVICE = "bedrock-agentcore-control"
DATA = "bedrock-agentcore"
REGIONS = frozenset(SUPPORTED)
DEFAULT = "DEFAULT"
_TERMINAL = ("READY", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
# Bytes of all variables (runtime-troubleshooting; runtime-v2-optimize, containers).
_ENVIRONMENT_BYTES = {"V1": (4096, "4 KB"), "V2": (2560, "2.5 KB")}
# AWS has no complete list: those of its guide of September 2026, and one named in November.
_V2_REGIONS = (
    "us-east-1", "us-east-2", "us-west-2", "eu-west-1", "ap-northeast-1", "eu-central-1",
)  # fmt: skip
_IMAGE_BYTES = 2 * 10**9
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
    """AgentCore of one account in one region."""

    runtimes: dict[str, Runtime] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    interfaces: dict[tuple[str, frozenset[str]], list[str]] = field(default_factory=dict)


def region_state(cloud: Cloud, call: Call) -> RegionState:
    regional: RegionState = cloud.setdefault(RegionState, "agentcore", *call.account_region)
    _update_states(cloud, regional)
    return regional


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    if answered := _repeated_answer(regional, p):
        return answered
    if any(r.name == p["agentRuntimeName"] for r in regional.runtimes.values()):
        name = p["agentRuntimeName"]
        raise Refused("ConflictException", f"An agent with name '{name}' already exists.", 409)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "L-F4575653")
    if len(regional.runtimes) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of agents reached.", 402)
    _check(cloud, call)
    id = _id(p["agentRuntimeName"])
    arn = f"arn:aws:bedrock-agentcore:{call.region}:{call.account}:runtime/{id}"
    now = cloud.clock.now()
    reason = _later_failure(cloud, call) or cloud.faults.runtime_failure("CREATE")
    end = "CREATE_FAILED" if reason else "READY"
    seconds = _seconds(cloud, p)
    state = timed_state(cloud.clock, "CREATING", end, seconds, reason)
    runtime = Runtime(id, p["agentRuntimeName"], arn, now, call.caller, call.region, state)
    _add_version(runtime, p, now, {"requireMMDSV2": ("old metadata service",) not in cloud.state})
    runtime.endpoints[DEFAULT] = Endpoint(
        DEFAULT, _id(DEFAULT), "1", now, now,
        timed_state(cloud.clock, "CREATING", end, seconds, reason), "1",
    )  # fmt: skip
    regional.runtimes[id] = runtime
    regional.tags[arn] = dict(p.get("tags", {}))
    if not reason:
        _create_interfaces(cloud, call, regional)
    answer = {
        "agentRuntimeArn": arn,
        "agentRuntimeId": id,
        "agentRuntimeVersion": "1",
        "createdAt": now,
        "status": "CREATING",
        "workloadIdentityDetails": _identity(runtime),
    }
    _remember(regional, p, answer)
    return answer


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    if answered := _repeated_answer(regional, p):
        return answered
    runtime = _found(regional, p["agentRuntimeId"])
    _require_terminal(cloud, runtime)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "versions")
    if len(runtime.versions) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of versions reached.", 402)
    _check(cloud, call)
    reason = _later_failure(cloud, call) or cloud.faults.runtime_failure("UPDATE")
    now, clock = cloud.clock.now(), cloud.clock
    end = "UPDATE_FAILED" if reason else "READY"
    seconds = _seconds(cloud, p)
    runtime.state.change(clock, "UPDATING", end, seconds, reason)
    if not reason:
        # Like every other setting that an update does not name.
        _add_version(runtime, p, now, {"requireMMDSV2": False})
        _update_default_endpoint(cloud, runtime, seconds)
        _create_interfaces(cloud, call, regional)
    answer = {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": runtime.version,
        "createdAt": runtime.created,
        "lastUpdatedAt": now,
        "status": "UPDATING",
        "workloadIdentityDetails": _identity(runtime),
    }
    _remember(regional, p, answer)
    return answer


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    version = call.params.get("agentRuntimeVersion", runtime.version)
    if not version.isdecimal() or not 0 < int(version) <= len(runtime.versions):
        raise _not_found(f"Agent version {version} of {runtime.id}")
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
    reason = runtime.state.failure(cloud.clock)
    return answer | ({"failureReason": reason} if reason else {})


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional = region_state(cloud, call)
    runtime = _found(regional, call.params["agentRuntimeId"])
    _require_terminal(cloud, runtime)
    runtime.state.change(cloud.clock, "DELETING", "GONE", cloud.durations.runtime_deletion)
    _update_states(cloud, regional)
    return {"status": "DELETING", "agentRuntimeId": runtime.id}


def invoke(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer for the version that the endpoint points to, if AWS would start it."""
    regional, p = region_state(cloud, call), call.params
    runtime = _found(regional, p["agentRuntimeArn"].rpartition("/")[2])
    name = p.get("qualifier", DEFAULT)
    if name not in runtime.endpoints:
        raise _not_found(f"No endpoint or agent found with qualifier {name}:")
    version = runtime.endpoints[name].live
    if not runtime.versions[int(version) - 1]["metadataConfiguration"]["requireMMDSV2"]:
        raise _invalid("This runtime is not MMDSv2-enabled. Update it with requireMMDSV2.")
    answer = json.dumps({"version": version, "endpoint": name}).encode()
    return {"response": answer, "contentType": "application/json", "statusCode": 200}


def list_all(cloud: Cloud, call: Call) -> dict[str, Any]:
    listed = [_summary(cloud, r, r.version) for r in region_state(cloud, call).runtimes.values()]
    return _page(call, "agentRuntimes", listed)


def list_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    numbers = [str(n + 1) for n in range(len(runtime.versions))]
    return _page(call, "agentRuntimes", [_summary(cloud, runtime, n) for n in numbers])


def create_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    if answered := _repeated_answer(regional, p):
        return answered
    runtime = _found(regional, p["agentRuntimeId"])
    _require_terminal(cloud, runtime)
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
    regional.tags[arn] = dict(p.get("tags", {}))
    answer = {
        "targetVersion": version,
        "agentRuntimeEndpointArn": arn,
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "endpointName": p["name"],
        "status": "CREATING",
        "createdAt": now,
    }
    _remember(regional, p, answer)
    return answer


def update_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    _require_terminal(cloud, endpoint)
    endpoint.target = _version_of(runtime, call.params)
    endpoint.description = call.params.get("description", endpoint.description)
    endpoint.updated = cloud.clock.now()
    endpoint.state.change(cloud.clock, "UPDATING", "READY", cloud.durations.endpoint)
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
    _require_terminal(cloud, endpoint)
    endpoint.state.change(cloud.clock, "DELETING", "GONE", cloud.durations.endpoint)
    _update_states(cloud, region_state(cloud, call))
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
    (DATA, "InvokeAgentRuntime"): invoke,
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


def _found(regional: RegionState, id: str) -> Runtime:
    if id not in regional.runtimes:
        raise _not_found(f"Agent {id}")
    return regional.runtimes[id]


def _endpoint(cloud: Cloud, call: Call) -> tuple[Runtime, Endpoint]:
    runtime = _found(region_state(cloud, call), call.params["agentRuntimeId"])
    name = call.params["endpointName"]
    if name not in runtime.endpoints:
        raise _not_found(f"Endpoint {name} of {runtime.id}")
    return runtime, runtime.endpoints[name]


def _not_found(title: str) -> Refused:
    return Refused("ResourceNotFoundException", f"{title} was not found.", 404)


def _invalid(message: str) -> Refused:
    return Refused("ValidationException", message, 400)


def _require_terminal(cloud: Cloud, resource: Runtime | Endpoint) -> None:
    status = resource.state.now(cloud.clock)
    if status not in _TERMINAL:
        title = "Agent" if isinstance(resource, Runtime) else "Endpoint"
        raise Refused("ConflictException", f"{title} {resource.name} is in {status} state.", 409)


def _tags(cloud: Cloud, call: Call) -> dict[str, str]:
    regional = region_state(cloud, call)
    if call.params["resourceArn"] not in regional.tags:
        raise _not_found(f"Resource {call.params['resourceArn']}")
    return regional.tags[call.params["resourceArn"]]


def _update_states(cloud: Cloud, regional: RegionState) -> None:
    """Remove deleted resources, and interfaces that have lingered long enough."""
    for runtime in list(regional.runtimes.values()):
        for endpoint in list(runtime.endpoints.values()):
            status = endpoint.state.now(cloud.clock)
            if status == "GONE":
                regional.tags.pop(
                    _endpoint_arn(runtime, runtime.endpoints.pop(endpoint.name)), None
                )
            elif status == "READY":
                endpoint.live = endpoint.target
        if runtime.state.now(cloud.clock) == "GONE":
            del regional.runtimes[runtime.id]
            for arn in [a for a in regional.tags if a.startswith(runtime.arn)]:
                del regional.tags[arn]
            _release_interfaces(cloud, regional, runtime)
    lingering: list[tuple[float, Caller, str, str]] = cloud.setdefault(list, "interfaces")
    for each in [each for each in lingering if each[0] <= cloud.clock.seconds()]:
        lingering.remove(each)
        ec2 = cloud.client("ec2", each[2], each[1], "bedrock-agentcore")
        ec2.delete_network_interface(NetworkInterfaceId=each[3])


def update_all_states(cloud: Cloud) -> None:
    for _, regional in cloud.all_of("agentcore"):
        _update_states(cloud, regional)


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
    settings.setdefault("platformVersion", "V1")
    runtime.versions.append(settings)
    runtime.updated.append(now)


def _seconds(cloud: Cloud, params: dict[str, Any]) -> float:
    """Return how long a version takes to be READY: on V2, until its snapshot is taken."""
    snapshot = cloud.durations.snapshot if params.get("platformVersion") == "V2" else 0.0
    return cloud.durations.runtime + snapshot


def _update_default_endpoint(cloud: Cloud, runtime: Runtime, seconds: float) -> None:
    """Point DEFAULT to the newest version."""
    endpoint = runtime.endpoints[DEFAULT]
    endpoint.target, endpoint.updated = runtime.version, cloud.clock.now()
    endpoint.state.change(cloud.clock, "UPDATING", "READY", seconds)


def _version_of(runtime: Runtime, params: dict[str, Any]) -> str:
    version = params.get("agentRuntimeVersion", runtime.version)
    if not version.isdecimal() or not 0 < int(version) <= len(runtime.versions):
        raise _not_found(f"Agent version {version} of {runtime.id}")
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


def _repeated_answer(regional: RegionState, params: dict[str, Any]) -> dict[str, Any] | None:
    token = params.get("clientToken")
    if token not in regional.tokens:
        return None
    before, answer = regional.tokens[token]
    if before != params:
        message = "The client token was used before with other parameters."
        raise Refused("ConflictException", message, 409)
    return answer


def _remember(regional: RegionState, params: dict[str, Any], answer: dict[str, Any]) -> None:
    if token := params.get("clientToken"):
        regional.tokens[token] = (params, answer)


# ---- checked when the call is made


def _check(cloud: Cloud, call: Call) -> None:
    p = call.params
    platform = p.get("platformVersion", "V1")
    if platform not in _ENVIRONMENT_BYTES:
        raise _invalid(f"Invalid platformVersion '{platform}'. Supported values: V1, V2")
    if platform == "V2" and call.region not in _V2_REGIONS:
        raise _invalid(f"platformVersion V2 is not supported in region {call.region}")
    _check_network(cloud, call)
    size = sum(
        len(k.encode()) + len(v.encode()) for k, v in p.get("environmentVariables", {}).items()
    )
    bytes_max, named = _ENVIRONMENT_BYTES[platform]
    if size > bytes_max:
        message = f"Total size of environment variables, {size} bytes, exceeds the maximum of"
        raise _invalid(f"{message} {named}")
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


# ---- found later


def _later_failure(cloud: Cloud, call: Call) -> str | None:
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


# ---- network interfaces: one per subnet and set of security groups, shared by runtimes


def _create_interfaces(cloud: Cloud, call: Call, regional: RegionState) -> None:
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


def _release_interfaces(cloud: Cloud, regional: RegionState, gone: Runtime) -> None:
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
