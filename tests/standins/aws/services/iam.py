"""Owns what moto's STS and IAM lack: caller identity, age of roles, policy simulation."""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Caller, Cloud
from tests.standins.models.refusal import Refused


def caller_identity(cloud: Cloud, call: Call) -> dict[str, Any]:
    caller = call.caller
    return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}


def assume_role(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    keys, user = answer["Credentials"], answer["AssumedRoleUser"]
    account = user["Arn"].split(":")[4]
    made = Caller(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], account, user["Arn"],
        user["AssumedRoleId"],
    )  # fmt: skip
    cloud.callers[made.access_key_id] = made
    return answer


def create_role(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    cloud.setdefault(dict, "roles")[answer["Role"]["Arn"]] = cloud.clock.seconds()
    return answer


# IAM User Guide, service-linked roles; AgentCore Developer Guide, service-linked-roles.
_LINKED = {
    "network.bedrock-agentcore.amazonaws.com": "AWSServiceRoleForBedrockAgentCoreNetwork",
    "runtime-identity.bedrock-agentcore.amazonaws.com": (
        "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity"
    ),
}


def create_linked_role(cloud: Cloud, call: Call) -> dict[str, Any]:
    service = call.params["AWSServiceName"]
    if service not in _LINKED:
        return call.moto()
    name, backend = _LINKED[service], get_backend("iam")[call.account]["aws"]
    if any(role.name == name for role in backend.roles.values()):
        message = (
            f"Service role name {name} has been taken in this account, please try a different "
            "suffix."
        )
        raise Refused("InvalidInput", message, 400)
    answer = call.moto()
    role = next(r for r in backend.roles.values() if r.arn == answer["Role"]["Arn"])
    role.name = name
    return {"Role": {**answer["Role"], "RoleName": name, "Arn": role.arn}}


def simulate(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Allow everything that `faults.deny` does not name: policies are not evaluated."""
    resources = call.params.get("ResourceArns", ["*"])
    return {
        "EvaluationResults": [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "implicitDeny" if cloud.faults.denies(action) else "allowed",
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in call.params["ActionNames"]
            for resource in resources
        ],
        "IsTruncated": False,
    }


HANDLERS = {
    ("sts", "GetCallerIdentity"): caller_identity,
    ("sts", "AssumeRole"): assume_role,
    ("iam", "CreateRole"): create_role,
    ("iam", "CreateServiceLinkedRole"): create_linked_role,
    ("iam", "SimulatePrincipalPolicy"): simulate,
}
