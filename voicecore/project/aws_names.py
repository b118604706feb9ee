"""Every name that voicecore derives from a project's name, with the limit it must meet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from voicecore.project.defaults import DEFAULT_STAGE

STAGE_LIMIT = 8
"""Longest stage name, in characters, for which the derived names are checked."""

NAME_LIMIT = 30
"""Longest project name, in characters: what is left of the tightest AWS limit below."""

SHARED = "shared"
"""The value of the stage tag on what all stages of a project share."""

TAG_PROJECT = "voicecore:project"
TAG_STAGE = "voicecore:stage"
TAG_VERSION = "voicecore:version"
"""Keys of the tags on everything that voicecore makes; the version is voicecore's own."""

_NAME = re.compile(r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]")

# No hyphens, so that a stack's name can be told apart into project and stage.
_STAGE = re.compile(r"[a-z][a-z0-9]*")

# What would be mistaken for something that all stages share, or for the runtime on this machine.
_NO_STAGES = ("network", "images", "builder", "server", SHARED, "local")

# Device names that Windows reserves in every folder, with any extension.
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(10)}


def stage_flag(stage: str) -> str:
    """What a command is told so that it means this stage; empty for the one it means anyway."""
    return "" if stage == DEFAULT_STAGE else f" --stage {stage}"


def runtime_name_for(name: str, stage: str) -> str:
    """The AgentCore runtime of one stage; AgentCore allows no hyphens."""
    return f"{name}_{stage}".replace("-", "_")


def repository_for(name: str) -> str:
    """The ECR repository that holds the agent's images."""
    return f"voicecore/{name}"


def stack_name_for(name: str, stage: str) -> str:
    """The CloudFormation stack of one stage."""
    return f"voicecore-{name}-{stage}"


def network_stack_name_for(name: str) -> str:
    """The CloudFormation stack of the network that the stages of one region share."""
    return f"voicecore-{name}-network"


def images_stack_name_for(name: str) -> str:
    """The CloudFormation stack of the image repository that the stages of one region share."""
    return f"voicecore-{name}-images"


def endpoint_name_for(stage: str) -> str:
    """The runtime endpoint that callers of a stage use."""
    return stage


def log_group_for(runtime_id: str, endpoint: str) -> str:
    """The log group of one endpoint, as AgentCore names it (observability-configure)."""
    return f"/aws/bedrock-agentcore/runtimes/{runtime_id}-{endpoint}"


def secret_name_for(name: str, stage: str) -> str:
    """The secret that holds the keys of other providers' services."""
    return f"voicecore/{name}/{stage}"


def server_for(name: str, stage: str) -> str:
    """The stack of a stage's session server, and its Lambda function."""
    return f"{stack_name_for(name, stage)}-server"


def server_role_for(name: str, stage: str, region: str) -> str:
    """The role of that function; roles are global, so the region is part of it."""
    return f"vc-{name}-{stage}-server-{region}"


def lambda_log_group_for(server: str) -> str:
    """Where that function, by its name, writes; Lambda's own default, which people look for."""
    return f"/aws/lambda/{server}"


def server_start_role_for(name: str, stage: str, region: str) -> str:
    """The role by which ECS starts a server that carries calls."""
    return f"vc-{name}-{stage}-start-{region}"


def ecs_log_group_for(server: str) -> str:
    """Where a server on ECS, by its stack's name, writes; as its console names such groups."""
    return f"/ecs/{server}"


def server_secret_for(name: str, stage: str) -> str:
    """The secret that holds what server/.env has and nobody else should see."""
    return f"{secret_name_for(name, stage)}/server"


def session_key_for(name: str, stage: str) -> str:
    """The secret that holds the key by which clients get sessions."""
    return f"{secret_name_for(name, stage)}/session"


def origin_key_for(name: str, stage: str) -> str:
    """The secret by which a load balancer knows CloudFront."""
    return f"{secret_name_for(name, stage)}/origin"


def role_name_for(name: str, stage: str, region: str) -> str:
    """The execution role of one stage; roles are global, so the region is part of it."""
    return f"voicecore-{name}-{stage}-{region}"


def channel_name_for(name: str, stage: str, number: int) -> str:
    """One KVS signalling channel of the pool that hands out TURN credentials."""
    return f"voicecore-{name}-{stage}-{number}"


def builder_for(name: str) -> str:
    """The CodeBuild project that builds what has no arm64 wheel."""
    return f"voicecore-{name}-builder"


def builder_log_group_for(name: str) -> str:
    """The log group of that project; CodeBuild derives it so, and it can be made beforehand."""
    return f"/aws/codebuild/{builder_for(name)}"


def builder_role_for(name: str, region: str) -> str:
    """The role of that project; roles are global, so the region is part of it."""
    return f"voicecore-{name}-builder-{region}"


def builder_bucket_for(name: str, account: str, region: str) -> str:
    """The bucket of that project's sources; the whole world shares one set of such names."""
    return f"vc-{name}-{account}-{region}"


@dataclass(frozen=True)
class _Limit:
    """A derived name and the pattern AWS publishes for its kind."""

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
        "IAM role of the server",
        lambda name: server_role_for(name, _LONGEST_STAGE, _LONGEST_REGION),
        re.compile(r"[\w+=,.@-]{1,64}"),
    ),
    _Limit(
        "IAM role by which the server starts",
        lambda name: server_start_role_for(name, _LONGEST_STAGE, _LONGEST_REGION),
        re.compile(r"[\w+=,.@-]{1,64}"),
    ),
    # ECS API Reference, CreateCluster, CreateService, RegisterTaskDefinition: up to 255 letters,
    # digits, hyphens and underscores; a server's name on Lambda is shorter anyway.
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
        "KVS signalling channel",
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


def mistakes_in(name: str) -> list[str]:
    """Why `name` cannot name a project; empty if it can."""
    mistakes: list[str] = []
    if len(name) > NAME_LIMIT:
        mistakes.append(f"it has {len(name)} characters; at most {NAME_LIMIT} fit AWS's names")
    elif not _NAME.fullmatch(name):
        mistakes.append(
            "it must be 2 or more of a-z, 0-9 and single hyphens, starting with a letter"
        )
    if name.lower().split(".")[0] in _RESERVED:
        mistakes.append("Windows reserves it for a device, so the folder could not be shared")
    if mistakes:
        return mistakes
    return [
        f"its {limit.kind} would be called {limit.derive(name)!r}, which AWS refuses"
        for limit in _LIMITS
        if not limit.pattern.fullmatch(limit.derive(name))
    ]


def stage_mistakes_in(stage: str) -> list[str]:
    """Why `stage` cannot name a stage; empty if it can."""
    if len(stage) > STAGE_LIMIT:
        return [f"it has {len(stage)} characters; at most {STAGE_LIMIT} fit AWS's names"]
    if not _STAGE.fullmatch(stage):
        return ["it must be a-z and 0-9, starting with a letter"]
    if stage in _NO_STAGES:
        return ["voicecore needs that word itself; call it otherwise"]
    return []


def suggestion_for(name: str) -> str | None:
    """A name like `name` that a project may have, if one can be made of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-").lstrip("0123456789-")[:NAME_LIMIT]
    slug = slug.rstrip("-")
    return slug if slug and not mistakes_in(slug) else None
