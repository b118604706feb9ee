"""Owns the permissions that calls need, each an action on an ARN, and whether policies allow them.

Resources are those of the Service Authorization Reference. Conditions are not evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from tests.standins.aws.journal import JournalEntry

ACCOUNT = "123456789012"

# Per service: the parameters that name a resource, and its ARN's end; the first that is there
# counts. A parameter may be an ARN already, or a list.
_RESOURCES: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "acm": ((("CertificateArn",), ""),),
    "application-autoscaling": ((("ResourceARN",), ""), (("ResourceId",), "scalable-target/0")),
    "bedrock-agentcore": (
        (("agentRuntimeId", "endpointName"), "runtime/{}/runtime-endpoint/{}"),
        (("agentRuntimeId",), "runtime/{}"),
        (("resourceArn",), ""),
    ),
    "cloudformation": ((("StackName",), "stack/{}/0"), (("ChangeSetName",), "stack/{}/0")),
    "cloudfront": ((("Resource",), ""), (("Id",), "distribution/{}"), ((), "distribution/0")),
    "cloudwatch": ((("AlarmName",), "alarm:{}"), (("AlarmNames",), "alarm:{}")),
    "codebuild": (
        (("projectName",), "project/{}"),
        (("name",), "project/{}"),
        (("names",), "project/{}"),
    ),
    "dynamodb": ((("TableName",), "table/{}"), (("ResourceArn",), "")),
    "ecr": (
        (("repositoryName",), "repository/{}"),
        (("repositoryNames",), "repository/{}"),
        (("resourceArn",), ""),
    ),
    "ecs": (
        (("cluster", "serviceName"), "service/{}/{}"),
        (("cluster", "services"), "service/{}/{}"),
        (("cluster", "service"), "service/{}/{}"),
        (("cluster", "tasks"), "task/{}/{}"),
        (("clusterName",), "cluster/{}"),
        (("clusters",), "cluster/{}"),
        (("cluster",), "cluster/{}"),
        (("family",), "task-definition/{}:1"),
        (("resourceArn",), ""),
    ),
    "elasticloadbalancing": (
        (("ResourceArns",), ""),
        (("RuleArn",), ""),
        (("ListenerArn",), ""),
        (("TargetGroupArn",), ""),
        (("LoadBalancerArn",), ""),
    ),
    "iam": (
        (("RoleName",), "role/{}"),
        (("AWSServiceName",), "role/aws-service-role/{}/0"),
        (("PolicySourceArn",), ""),
    ),
    "kinesisvideo": (
        (("ChannelName",), "channel/{}/0"),
        (("ChannelARN",), ""),
        (("ResourceARN",), ""),
    ),
    "lambda": ((("FunctionName",), "function:{}"), (("Resource",), "")),
    "logs": (
        (("logGroupName",), "log-group:{}"),
        (("logGroupIdentifiers",), ""),
        (("resourceArn",), ""),
    ),
    "s3": ((("Bucket",), "{}"),),
    "secretsmanager": ((("SecretId",), "secret:{}-AbCdEf"), (("Name",), "secret:{}-AbCdEf")),
}
# Creations whose resource has another name than later calls use.
_CREATED = {
    "elasticloadbalancing:CreateLoadBalancer": "loadbalancer/app/{}/0",
    "elasticloadbalancing:CreateTargetGroup": "targetgroup/{}/0",
}
_PASSED_ROLES = ("roleArn", "Role", "serviceRole", "taskRoleArn", "executionRoleArn")
# Operations that need other permissions than their name says.
_PERMISSIONS = {
    "cloudfront:CreateDistributionWithTags": (
        "cloudfront:CreateDistribution",
        "cloudfront:TagResource",
    ),
    "lambda:Invoke": ("lambda:InvokeFunction",),
    "sts:GetCallerIdentity": (),
}
# Calls of a running session server, by its own role.
_OF_SERVERS = {
    f"dynamodb:{name}" for name in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")
}


@dataclass(frozen=True, order=True)
class Access:
    """An action on a resource; the ARN is empty if the call names no resource."""

    action: str
    arn: str

    def __str__(self) -> str:
        return f"{self.action} {self.arn}".strip()


def accesses(journal: Iterable[JournalEntry]) -> set[Access]:
    """Return what the deploying identity needs: CloudFormation calls AWS as its caller."""
    found: set[Access] = set()
    stacks: dict[str, str] = {}  # by the names of their change sets
    for entry in journal:
        if entry.by not in ("client", "cloudformation") or entry.action in _OF_SERVERS:
            continue
        params = dict(entry.params)
        if "ChangeSetName" in params and "StackName" in params:
            stacks[params["ChangeSetName"]] = params["StackName"]
        elif "ChangeSetName" in params:
            params["StackName"] = stacks[params["ChangeSetName"].split("/")[1]]
        actions = _PERMISSIONS.get(entry.action, (entry.action,))
        if entry.action == "cloudformation:DescribeStacks" and "StackName" not in params:
            # Of all stacks: DescribeStacks in combination with ListStacks.
            actions = ("cloudformation:ListStacks",)
        for action in actions:
            found |= {Access(action, arn) for arn in _arns(entry.action, params, entry.region)}
        roles = [value for key, value in params.items() if key in _PASSED_ROLES]
        found |= {Access("iam:PassRole", role) for role in roles}
    return found


def _arns(action: str, params: Mapping[str, Any], region: str) -> Iterator[str]:
    service = action.partition(":")[0]
    resources = _RESOURCES.get(service, ())
    if action in _CREATED:
        resources = ((("Name",), _CREATED[action]),)
    for names, end in resources:
        if all(name in params for name in names):
            for values in product(*(_list(params[name]) for name in names)):
                yield _arn(service, end, values, region)
            return
    yield ""


def _arn(service: str, end: str, values: tuple[str, ...], region: str) -> str:
    if values and values[-1].startswith("arn:"):
        return values[-1]
    if service == "s3":
        return f"arn:aws:s3:::{values[0]}"
    place = "" if service in ("iam", "cloudfront") else region
    names = [value.rpartition("/")[2] if value.startswith("arn:") else value for value in values]
    return f"arn:aws:{service}:{place}:{ACCOUNT}:{end.format(*names)}"


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def granted(statements: Iterable[Mapping[str, Any]], access: Access) -> bool:
    """Return whether one of the statements, in IAM's JSON, allows the access."""
    return any(
        access.action in _list(statement["Action"])
        and any(fnmatchcase(access.arn, pattern) for pattern in _list(statement["Resource"]))
        for statement in statements
    )
