"""Owns the permissions that calls need, each an action on an ARN, and whether policies allow them.

Resources are those of the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from moto.utilities.utils import get_partition

from tests.standins.aws.journal import JournalEntry

ACCOUNT = "123456789012"

# Per service: the parameters that name a resource, and its ARN's end; the first that is there
# counts. A parameter may be an ARN already, or a list.
_RESOURCES: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "acm": ((("CertificateArn",), ""),),
    "application-autoscaling": ((("ResourceARN",), ""), (("ResourceId",), "scalable-target/0")),
    "bedrock": (
        (("modelIdentifier",), "foundation-model/{}"),
        (("inferenceProfileIdentifier",), "inference-profile/{}"),
    ),
    "bedrock-agentcore": (
        (("agentRuntimeId", "endpointName"), "runtime/{}/runtime-endpoint/{}"),
        (("agentRuntimeId",), "runtime/{}"),
        (("agentRuntimeName",), "runtime/{}-0123456789"),
        (("agentRuntimeArn",), ""),
        (("resourceArn",), ""),
    ),
    "cloudformation": ((("StackName",), "stack/{}/0"), (("ChangeSetName",), "stack/{}/0")),
    "cloudfront": ((("Resource",), ""), (("Id",), "distribution/{}"), ((), "distribution/0")),
    "cloudwatch": ((("AlarmName",), "alarm:{}"), (("AlarmNames",), "alarm:{}")),
    "codebuild": (
        (("projectName",), "project/{}"),
        (("name",), "project/{}"),
        (("names",), "project/{}"),
        (("ids",), "project/{}"),
        (("id",), "project/{}"),
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
        (("PolicySourceArn",), ""),
        (("PolicyArn",), ""),
    ),
    "kinesisvideo": (
        (("ChannelName",), "channel/{}/0"),
        (("ChannelARN",), ""),
        (("ResourceARN",), ""),
    ),
    "kms": ((("KeyId",), ""),),
    "lambda": ((("FunctionName",), "function:{}"), (("Resource",), "")),
    "logs": (
        (("logGroupName",), "log-group:{}"),
        (("logGroupIdentifiers",), ""),
        (("resourceArn",), ""),
    ),
    "s3": ((("Bucket", "Key"), "{}/{}"), (("Bucket",), "{}")),
    "secretsmanager": ((("SecretId",), "secret:{}-AbCdEf"), (("Name",), "secret:{}-AbCdEf")),
}
# Creations whose resource has another name than later calls use.
_CREATED = {
    "elasticloadbalancing:CreateLoadBalancer": "loadbalancer/app/{}/0",
    "elasticloadbalancing:CreateTargetGroup": "targetgroup/{}/0",
}
_WITHOUT_RESOURCE = ("bedrock-agentcore:CreateAgentRuntime",)
_PASSED_ROLES = ("roleArn", "Role", "serviceRole", "taskRoleArn", "executionRoleArn", "RoleARN")
_PASSED_TO = {
    "bedrock-agentcore": "bedrock-agentcore.amazonaws.com",
    "cloudformation": "cloudformation.amazonaws.com",
    "codebuild": "codebuild.amazonaws.com",
    "ecs": "ecs-tasks.amazonaws.com",
    "lambda": "lambda.amazonaws.com",
}
# IAM User Guide, service-linked roles; AgentCore Developer Guide, service-linked-roles.
LINKED_ROLES = {
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "ecs.application-autoscaling.amazonaws.com": (
        "AWSServiceRoleForApplicationAutoScaling_ECSService"
    ),
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "network.bedrock-agentcore.amazonaws.com": "AWSServiceRoleForBedrockAgentCoreNetwork",
    "runtime-identity.bedrock-agentcore.amazonaws.com": (
        "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity"
    ),
    "vpcorigin.cloudfront.amazonaws.com": "AWSServiceRoleForCloudFrontVPCOrigin",
}
# Creating a resource with tags needs the permission to tag it, too, except in _TAGS_INCLUDED.
_TAG_ACTIONS = {"ec2": "CreateTags", "elasticloadbalancing": "AddTags", "iam": "TagRole"}
_CREATES = ("Create", "Register")
_TAGS_INCLUDED = ("codebuild", "s3")
# Operations that need other permissions than their name says.
_PERMISSIONS = {
    "cloudfront:CreateDistributionWithTags": (
        "cloudfront:CreateDistribution",
        "cloudfront:TagResource",
    ),
    "lambda:Invoke": ("lambda:InvokeFunction",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "s3:PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "sts:GetCallerIdentity": (),
}
_OF_ALL_STACKS = ("cloudformation:DescribeStacks", "cloudformation:ListStacks")
# Calls of a running session server, by its own role.
_OF_SERVERS = {
    f"dynamodb:{name}" for name in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")
}


@dataclass(frozen=True, order=True)
class Access:
    """An action on a resource; the ARN is empty if the call names no resource.

    `context` has the values of condition keys; if it is None, conditions are not evaluated.
    """

    action: str
    arn: str
    context: Mapping[str, str] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.action} {self.arn}".strip()


class Accesses:
    """The accesses that calls need; it knows the stacks of the change sets that they name."""

    def __init__(self) -> None:
        self._stacks: dict[str, str] = {}  # by the names of their change sets

    def of(self, action: str, params: Mapping[str, Any], region: str) -> set[Access]:
        """Return the accesses that this call needs."""
        params = dict(params)
        if "ChangeSetName" in params and "StackName" in params:
            self._stacks[params["ChangeSetName"]] = params["StackName"]
        elif "ChangeSetName" in params:
            params["StackName"] = self._stacks[params["ChangeSetName"].split("/")[1]]
        if action == "s3:DeleteObjects":
            params["Key"] = [each["Key"] for each in params["Delete"]["Objects"]]
        service, _, name = action.partition(":")
        context = {"aws:RequestedRegion": region}
        context |= {f"aws:RequestTag/{key}": value for key, value in tags_in(params).items()}
        if "PermissionsBoundary" in params:
            context["iam:PermissionsBoundary"] = params["PermissionsBoundary"]
        if "AWSServiceName" in params:
            context["iam:AWSServiceName"] = params["AWSServiceName"]
        actions = _PERMISSIONS.get(action, (action,))
        if action == "cloudformation:DescribeStacks" and "StackName" not in params:
            actions = _OF_ALL_STACKS
        if _tags(params) and name.startswith(_CREATES) and service not in _TAGS_INCLUDED:
            actions = (*actions, f"{service}:{_TAG_ACTIONS.get(service, 'TagResource')}")
        found = {
            Access(each, arn, context)
            for each in actions
            for arn in ([""] if each in _WITHOUT_RESOURCE else _arns(action, params, region))
        }
        passed = context | {"iam:PassedToService": _PASSED_TO.get(service, "")}
        roles = [value for key, value in params.items() if key in _PASSED_ROLES]
        return found | {Access("iam:PassRole", role, passed) for role in roles}


def accesses(journal: Iterable[JournalEntry]) -> set[Access]:
    """Return what the deploying identity needs: CloudFormation calls AWS as its caller."""
    found, all_of = set[Access](), Accesses()
    for entry in journal:
        if entry.action not in _OF_SERVERS and is_of_caller(entry.action, entry.by):
            found |= all_of.of(entry.action, entry.params, entry.region)
    return found


def is_of_caller(action: str, by: str) -> bool:
    """Return True when the caller needs the permission, although a service may make the call."""
    return by in ("client", "cloudformation") or action == "iam:CreateServiceLinkedRole"


def _tags(params: Mapping[str, Any]) -> bool:
    return any(params.get(key) for key in ("tags", "Tags", "TagSpecifications"))


def tags_in(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a call puts on a resource."""
    listed = params.get("Tags") or params.get("tags") or []
    for specification in params.get("TagSpecifications", ()):
        listed = [*listed, *specification["Tags"]]
    if isinstance(listed, Mapping):
        return dict(listed)
    pairs = ({key.lower(): value for key, value in each.items()} for each in listed)
    return {each["key"]: each.get("value", "") for each in pairs if "key" in each}


def _arns(action: str, params: Mapping[str, Any], region: str) -> Iterator[str]:
    service = action.partition(":")[0]
    resources = _RESOURCES.get(service, ())
    if "AWSServiceName" in params:
        linked = params["AWSServiceName"]
        resources = (((), f"role/aws-service-role/{linked}/{LINKED_ROLES.get(linked, '')}"),)
    if action == "iam:CreateRole" and "Path" in params:
        resources = ((("RoleName",), f"role{params['Path']}{{}}"),)
    if action in _CREATED:
        resources = ((("Name",), _CREATED[action]),)
    if action == "cloudfront:ListVpcOrigins":
        resources = ()
    elif action.endswith("VpcOrigin"):
        resources = ((("Id",), "vpcorigin/{}"), ((), "vpcorigin/0"))
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
        return f"arn:{get_partition(region)}:s3:::{end.format(*values)}"
    place = "" if service in ("iam", "cloudfront") else region
    account = "" if end.startswith("foundation-model/") else ACCOUNT
    names = [value.rpartition("/")[2] if value.startswith("arn:") else value for value in values]
    if service == "codebuild":  # the ID of a build begins with its project
        names = [name.partition(":")[0] for name in names]
    return f"arn:{get_partition(region)}:{service}:{place}:{account}:{end.format(*names)}"


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def granted(statements: Iterable[Mapping[str, Any]], access: Access) -> bool:
    """Return whether the statements, in IAM's JSON, allow the access."""
    return decision(statements, access) == "allowed"


def decision(statements: Iterable[Mapping[str, Any]], access: Access) -> str:
    """Return IAM's decision by these statements: "allowed", "explicitDeny" or "implicitDeny"."""
    found = {each.get("Effect", "Allow") for each in statements if _applies(each, access)}
    if "Deny" in found:
        return "explicitDeny"
    return "allowed" if "Allow" in found else "implicitDeny"


def _applies(statement: Mapping[str, Any], access: Access) -> bool:
    actions = _list(statement["Action"] if "Action" in statement else statement["NotAction"])
    named = any(fnmatchcase(access.action, pattern) for pattern in actions)
    return (
        named == ("Action" in statement)
        and any(fnmatchcase(access.arn, pattern) for pattern in _list(statement["Resource"]))
        and (access.context is None or _holds(statement.get("Condition", {}), access.context))
    )


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        _test_holds(test, context.get(key), [str(value).lower() if test == "Null" else value
                                             for value in _list(values)])
        for test, keys in condition.items()
        for key, values in keys.items()
    )  # fmt: skip


def _test_holds(test: str, value: str | None, wanted: list[str]) -> bool:
    if test == "Null":
        return (value is None) == ("true" in wanted)
    assert test in _TESTS, f"the stand-in cannot evaluate {test}"
    matches = value is not None and any(fnmatchcase(value, each) for each in wanted)
    return matches == _TESTS[test]


# Whether a test holds if a value matches; IAM's negated tests hold without a value.
_TESTS = {
    **dict.fromkeys(("StringEquals", "StringLike", "ArnEquals", "ArnLike"), True),
    **dict.fromkeys(("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike"), False),
}
