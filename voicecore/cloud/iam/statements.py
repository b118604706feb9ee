"""Owns what all IAM policies are made of: statements, documents, ARNs and service principals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from voicecore.catalog import regions
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, arn, sub
from voicecore.project import aws_names
from voicecore.project.settings import account_rules

AGENTCORE = "bedrock-agentcore.amazonaws.com"
LAMBDA = "lambda.amazonaws.com"
ECS_TASKS = "ecs-tasks.amazonaws.com"

POLICY_MAX = 6144
"""Characters of a managed policy, without white space (IAM and STS quotas)."""

IMAGE_PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


@dataclass(frozen=True)
class Statement:
    """One permission: these actions on these resources, under this condition."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...] = ("*",)
    condition: Mapping[str, Json] | None = None

    @property
    def json(self) -> Json:
        """The statement as IAM reads it."""
        statement: Json = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": self.resources[0] if len(self.resources) == 1 else list(self.resources),
        }
        return statement | ({"Condition": dict(self.condition)} if self.condition else {})


def repository_arn(deployment: Deployment) -> Any:
    """Return the ARN of the image repository, as a template has it."""
    if uri := deployment.stage.repository:
        return account_rules.repository_arn(uri, regions.partition_of(deployment.stage.region))
    return arn("ecr", f"repository/{aws_names.repository_for(deployment.name)}")


def key_statements(deployment: Deployment) -> list[Statement]:
    """Return the permission to read secrets that the administrator's key encrypts."""
    if not deployment.stage.kms_key:
        return []
    through = {"kms:ViaService": sub("secretsmanager.${AWS::Region}.${AWS::URLSuffix}")}
    key, condition = (deployment.stage.kms_key,), {"StringEquals": through}
    return [Statement("Key", ("kms:Decrypt",), key, condition)]


def policy_document(statements: Sequence[Statement]) -> Json:
    """Return the policy with these statements."""
    return _document([statement.json for statement in statements])


def policy_documents(statements: Iterable[Statement]) -> list[Json]:
    """Return the statements in as few policies as hold them, each within POLICY_MAX."""
    parts: list[list[Statement]] = [[]]
    for statement in statements:
        if parts[-1] and _size(policy_document([*parts[-1], statement])) > POLICY_MAX:
            parts.append([])
        parts[-1].append(statement)
    return [policy_document(part) for part in parts]


def trust_policy(service: str, condition: Json | None = None, sid: str = "") -> Json:
    """Return the trust policy that lets `service` assume a role."""
    statement: Json = {"Sid": sid} if sid else {}
    statement |= {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return _document([statement | ({"Condition": condition} if condition else {})])


def service_actions(service: str, names: str) -> tuple[str, ...]:
    """Return the actions `names`, separated by white space, with the prefix of `service`."""
    return tuple(f"{service}:{name}" for name in names.split())


def pass_role(sid: str, roles: Sequence[str], service: str) -> Statement:
    """Return the permission to hand `roles` to `service` and to no other."""
    condition = {"StringEquals": {"iam:PassedToService": service}}
    return Statement(sid, ("iam:PassRole",), tuple(roles), condition)


def linked_role(sid: str, scope: ArnScope, service: str, role: str) -> Statement:
    """Return the permission to let `service` create its role, which each account needs once."""
    return Statement(
        sid,
        ("iam:CreateServiceLinkedRole",),
        scope.arns("iam", f"role/aws-service-role/{service}/{role}"),
        {"StringEquals": {"iam:AWSServiceName": service}},
    )


@dataclass(frozen=True)
class ArnScope:
    """The partition, account and region of the resources in a deployer's policy."""

    partition: str
    account: str
    region: str

    @classmethod
    def of(cls, deployment: Deployment, account: str, partition: str) -> ArnScope:
        """Return the scope of a stage."""
        return cls(partition, account, deployment.stage.region)

    def arns(self, service: str, *resources: str) -> tuple[str, ...]:
        """Return the ARNs of `resources`; ${names} and * are allowed in them."""
        # IAM and CloudFront are global: their ARNs name no region.
        region = "" if service in ("iam", "cloudfront") else self.region
        head = f"arn:{self.partition}:{service}:{region}:{self.account}"
        return tuple(f"{head}:{resource}" for resource in resources)

    def roles(self, path: str, *names: str) -> tuple[str, ...]:
        """Return the ARNs of roles: IAM knows no path of a role that does not exist."""
        ends = [f"role{each}{name}" for each in dict.fromkeys(("/", path)) for name in names]
        return self.arns("iam", *ends)


def resolved(part: Any, scope: ArnScope) -> Any:
    """Return part of a template with the names of its place, as CloudFormation resolves them."""
    match part:
        case {"Fn::Sub": str(text)}:
            for name, value in {
                "AWS::Partition": scope.partition,
                "AWS::Region": scope.region,
                "AWS::AccountId": scope.account,
                "AWS::URLSuffix": "amazonaws.com",
            }.items():
                text = text.replace(f"${{{name}}}", value)
            return text
        case dict():
            return {key: resolved(value, scope) for key, value in cast("Json", part).items()}
        case list():
            return [resolved(value, scope) for value in cast("list[Any]", part)]
        case _:
            return part


def _document(statements: list[Json]) -> Json:
    return {"Version": "2012-10-17", "Statement": statements}


def _size(policy: Json) -> int:
    return len(json.dumps(policy, separators=(",", ":")))
