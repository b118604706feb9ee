"""Owns the AWS names that are derived from a project's name, and the limits they must meet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from voicecore.project.defaults import DEFAULT_STAGE

STAGE_LIMIT = 8
"""Longest stage name, in characters; derived names are checked for it."""

NAME_LIMIT = 30
"""Longest project name, in characters; the strictest limit below allows no more."""

SHARED = "shared"
"""Value of the stage tag on resources that all stages of a project share."""

TAG_PROJECT = "voicecore:project"
TAG_STAGE = "voicecore:stage"
TAG_VERSION = "voicecore:version"
TAG_ID = "voicecore:id"
"""Keys of the tags on every resource that voicecore creates; the version is voicecore's own, the
ID the project's (`project.identity`)."""

SPAN_GROUP = "aws/spans"
"""Log group to which X-Ray writes the spans of the account's programs (observability-configure)."""

_NAME = re.compile(r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]")

# No hyphens, so that the name of a stack can be split into project and stage.
_STAGE = re.compile(r"[a-z][a-z0-9]*")

# Taken by resources that all stages share, and by the runtime on this machine.
_RESERVED_STAGES = ("network", "images", "builder", "server", SHARED, "local")

# Device names that Windows reserves in every folder, with any extension.
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{d}{n}" for d in ("com", "lpt") for n in range(10)
}


def stage_flag(stage: str) -> str:
    """Return the option that selects a stage; empty for the default stage."""
    return "" if stage == DEFAULT_STAGE else f" --stage {stage}"


def runtime_name_for(name: str, stage: str) -> str:
    """Return the AgentCore runtime of a stage; AgentCore allows no hyphens."""
    return f"{name}_{stage}".replace("-", "_")


def repository_for(name: str) -> str:
    """Return the ECR repository of the project's images."""
    return f"voicecore/{name}"


def stack_name_for(name: str, stage: str) -> str:
    """Return the CloudFormation stack of a stage."""
    return f"voicecore-{name}-{stage}"


def network_stack_name_for(name: str) -> str:
    """Return the CloudFormation stack of the network that the stages of a region share."""
    return f"voicecore-{name}-network"


def images_stack_name_for(name: str) -> str:
    """Return the CloudFormation stack of the image repository that the stages of a region share."""
    return f"voicecore-{name}-images"


def endpoint_name_for(stage: str) -> str:
    """Return the runtime endpoint of a stage."""
    return stage


def log_group_for(runtime_id: str, endpoint: str) -> str:
    """Return the log group of an endpoint, as AgentCore names it (observability-configure)."""
    return f"/aws/bedrock-agentcore/runtimes/{runtime_id}-{endpoint}"


def secret_name_for(name: str, stage: str) -> str:
    """Return the secret that holds the API keys of third-party services."""
    return f"voicecore/{name}/{stage}"


def server_for(name: str, stage: str) -> str:
    """Return the stack of a stage's session server; its Lambda function has the same name."""
    return f"{stack_name_for(name, stage)}-server"


def server_role_for(name: str, stage: str, region: str) -> str:
    """Return the execution role of the session server; roles are global, so it names the region."""
    return f"vc-{name}-{stage}-server-{region}"


def lambda_log_group_for(server: str) -> str:
    """Return the log group of a session server on Lambda: Lambda's own default."""
    return f"/aws/lambda/{server}"


def server_start_role_for(name: str, stage: str, region: str) -> str:
    """Return the task execution role, with which ECS starts a session server."""
    return f"vc-{name}-{stage}-start-{region}"


def ecs_log_group_for(server: str) -> str:
    """Return the log group of a session server on ECS, named as the ECS console does."""
    return f"/ecs/{server}"


def server_secret_for(name: str, stage: str) -> str:
    """Return the secret that holds the confidential variables of server/.env."""
    return f"{secret_name_for(name, stage)}/server"


def session_key_for(name: str, stage: str) -> str:
    """Return the secret that holds the session server's API key."""
    return f"{secret_name_for(name, stage)}/session"


def origin_key_for(name: str, stage: str) -> str:
    """Return the secret that CloudFront proves itself with to the load balancer."""
    return f"{secret_name_for(name, stage)}/origin"


def role_name_for(name: str, stage: str, region: str) -> str:
    """Return the execution role of a stage; roles are global, so it names the region."""
    return f"voicecore-{name}-{stage}-{region}"


def channel_name_for(name: str, stage: str, number: int) -> str:
    """Return a KVS signaling channel of the pool that issues TURN credentials."""
    return f"voicecore-{name}-{stage}-{number}"


def builder_for(name: str) -> str:
    """Return the CodeBuild project that builds images for packages without an arm64 wheel."""
    return f"voicecore-{name}-builder"


def builder_log_group_for(name: str) -> str:
    """Return CodeBuild's default log group for the project, so that it can be created first."""
    return f"/aws/codebuild/{builder_for(name)}"


def builder_role_for(name: str, region: str) -> str:
    """Return the role of the CodeBuild project; roles are global, so it names the region."""
    return f"voicecore-{name}-builder-{region}"


def builder_bucket_for(name: str, account: str, region: str) -> str:
    """Return the bucket of the CodeBuild project's sources; bucket names are global."""
    return f"vc-{name}-{account}-{region}"


@dataclass(frozen=True)
class _Limit:
    """The pattern that AWS publishes for a kind of derived name."""

    kind: str
    derive: Callable[[str], str]
    pattern: re.Pattern[str]


_LONGEST_STAGE = "x" * STAGE_LIMIT
_LONGEST_REGION = "ap-southeast-2"

_LIMITS = (
    # AgentCore API Reference, CreateAgentRuntime: agentRuntimeName.
    _Limit(
        "AgentCore runtime",
        lambda name: runtime_name_for(name, _LONGEST_STAGE),
        re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,47}"),
    ),
    # Amazon ECR API Reference, CreateRepository: repositoryName, 2..256.
    _Limit(
        "ECR repository",
        repository_for,
        re.compile(r"(?=.{2,256}$)(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*"),
    ),
    # CloudFormation API Reference, CreateStack: StackName, 1..128.
    _Limit(
        "CloudFormation stack",
        lambda name: stack_name_for(name, _LONGEST_STAGE),
        re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}"),
    ),
    # IAM API Reference, CreateRole: RoleName, 1..64.
    _Limit(
        "IAM role",
        lambda name: role_name_for(name, _LONGEST_STAGE, _LONGEST_REGION),
        re.compile(r"[\w+=,.@-]{1,64}"),
    ),
    _Limit(
        "IAM role of the session server",
        lambda name: server_role_for(name, _LONGEST_STAGE, _LONGEST_REGION),
        re.compile(r"[\w+=,.@-]{1,64}"),
    ),
    _Limit(
        "IAM role that starts the session server",
        lambda name: server_start_role_for(name, _LONGEST_STAGE, _LONGEST_REGION),
        re.compile(r"[\w+=,.@-]{1,64}"),
    ),
    # ECS API Reference, CreateCluster, CreateService, RegisterTaskDefinition: up to 255 letters,
    # digits, hyphens and underscores; Lambda's limit for the same name is stricter.
    # Lambda API Reference, CreateFunction: FunctionName.
    _Limit(
        "Lambda function",
        lambda name: server_for(name, _LONGEST_STAGE),
        re.compile(r"[a-zA-Z0-9-_]{1,64}"),
    ),
    # CodeBuild API Reference, CreateProject: name, 2..150.
    _Limit("CodeBuild project", builder_for, re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}")),
    # CloudWatch Logs API Reference, CreateLogGroup: logGroupName, 1..512.
    _Limit("log group", builder_log_group_for, re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")),
    # IAM API Reference, as above.
    _Limit(
        "IAM role for builds",
        lambda name: builder_role_for(name, _LONGEST_REGION),
        re.compile(r"[\w+=,.@-]{1,64}"),
    ),
    # Amazon S3 User Guide, bucketnamingrules: general purpose buckets.
    _Limit(
        "S3 bucket",
        lambda name: builder_bucket_for(name, "0" * 12, _LONGEST_REGION),
        re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)"),
    ),
    # Kinesis Video Streams API, CreateSignalingChannel: ChannelName, 1..256.
    _Limit(
        "KVS signaling channel",
        lambda name: channel_name_for(name, _LONGEST_STAGE, 999),
        re.compile(r"[a-zA-Z0-9_.-]{1,256}"),
    ),
    # Secrets Manager API Reference, CreateSecret: Name, 1..512.
    _Limit(
        "secret",
        lambda name: secret_name_for(name, _LONGEST_STAGE),
        re.compile(r"[a-zA-Z0-9/_+=.@-]{1,512}"),
    ),
)


def name_problems(name: str) -> list[str]:
    """Return why a project cannot have this name; empty if it can."""
    problems: list[str] = []
    if len(name) > NAME_LIMIT:
        problems.append(f"it has {len(name)} characters; AWS names leave room for {NAME_LIMIT}")
    elif not _NAME.fullmatch(name):
        problems.append(
            "it must be 2 or more of a-z, 0-9 and single hyphens, starting with a letter"
        )
    if name.lower().split(".")[0] in _WINDOWS_DEVICES:
        problems.append("Windows reserves it for a device, so no folder there can have it")
    if problems:
        return problems
    return [
        f"its {limit.kind} would be named {limit.derive(name)!r}, which AWS rejects"
        for limit in _LIMITS
        if not limit.pattern.fullmatch(limit.derive(name))
    ]


def stage_name_problems(stage: str) -> list[str]:
    """Return why a stage cannot have this name; empty if it can."""
    if len(stage) > STAGE_LIMIT:
        return [f"it has {len(stage)} characters; AWS names leave room for {STAGE_LIMIT}"]
    if not _STAGE.fullmatch(stage):
        return ["it must be a-z and 0-9, starting with a letter"]
    if stage in _RESERVED_STAGES:
        return ["voicecore uses that name itself; choose another"]
    return []


def suggestion_for(name: str) -> str | None:
    """Return the closest name that a project can have; None if there is none."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-").lstrip("0123456789-")[:NAME_LIMIT]
    slug = slug.rstrip("-")
    return slug if slug and not name_problems(slug) else None
