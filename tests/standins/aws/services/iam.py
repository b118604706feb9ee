"""Owns what moto's STS and IAM lack: caller identity, age of roles, policy simulation."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from moto.backends import get_backend

from tests.standins.aws import authorization
from tests.standins.aws.access import LINKED_ROLES, Access, granted
from tests.standins.aws.cloud import Call, Caller, Cloud
from tests.standins.aws.http.operations import Operation, common_error
from tests.standins.models.refusal import Refused


def caller_identity(cloud: Cloud, call: Call) -> dict[str, Any]:
    caller = call.caller
    return {"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn}


def assume_role(cloud: Cloud, call: Call) -> dict[str, Any]:
    if "SerialNumber" in call.params:
        used: set[str] = cloud.setdefault(set, "used MFA codes")
        if call.params.get("TokenCode") in {None, *used}:
            reason = "MultiFactorAuthentication failed with invalid MFA one time pass code."
            raise common_error("sts", "AccessDenied", f"{reason} ")
        used.add(call.params["TokenCode"])
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


def _linked_services(operation: Operation) -> list[str]:
    """Return the services that create a role in the account at its first such operation."""
    match operation.action:
        case "bedrock-agentcore:CreateAgentRuntime" | "bedrock-agentcore:UpdateAgentRuntime":
            network = operation.params.get("networkConfiguration", {}).get("networkMode")
            names = ["runtime-identity", *(["network"] if network == "VPC" else [])]
            return [f"{name}.bedrock-agentcore.amazonaws.com" for name in names]
        case "ecs:CreateCluster" | "ecs:CreateService":
            return ["ecs.amazonaws.com"]
        case "elasticloadbalancing:CreateLoadBalancer":
            return ["elasticloadbalancing.amazonaws.com"]
        case "cloudfront:CreateVpcOrigin":
            return ["vpcorigin.cloudfront.amazonaws.com"]
        case "application-autoscaling:RegisterScalableTarget":
            return [f"{operation.params['ServiceNamespace']}.application-autoscaling.amazonaws.com"]
        case _:
            return []


def ensure_linked_roles(cloud: Cloud, operation: Operation, caller: Caller) -> None:
    """Create the roles that services need in the account, with the caller's permission."""
    for service in _linked_services(operation):
        with cloud.lock:
            if _has_role(caller.account, caller.partition, LINKED_ROLES[service]):
                continue
            iam = cloud.client("iam", caller.home_region, caller, operation.service)
            try:
                iam.create_service_linked_role(AWSServiceName=service)
            except ClientError as e:
                message = e.response["Error"]["Message"]
                raise common_error(operation.service, "AccessDenied", message) from e


def _has_role(account: str, partition: str, name: str) -> bool:
    roles = get_backend("iam")[account][partition].roles.values()
    return any(role.name == name for role in roles)


def create_linked_role(cloud: Cloud, call: Call) -> dict[str, Any]:
    service = call.params["AWSServiceName"]
    if service not in LINKED_ROLES:
        return call.moto()
    name, backend = LINKED_ROLES[service], get_backend("iam")[call.account][call.partition]
    if _has_role(call.account, call.partition, name):
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
    """Evaluate a role's policies and boundary, or the caller's own, and `faults.deny`.

    Without policies, all is allowed.
    """
    resources = call.params.get("ResourceArns", ["*"])
    of_caller = (cloud.policies.get(call.caller.access_key_id), None)
    found = authorization.role_policies(call.account, call.params["PolicySourceArn"])
    policies, boundary = found or of_caller
    context = {
        each["ContextKeyName"]: each["ContextKeyValues"][0]
        for each in call.params.get("ContextEntries", [])
    }

    def allowed(action: str, resource: str) -> bool:
        access = Access(action, resource, context)
        if not all(granted(each, access) for each in (policies, boundary) if each is not None):
            return False
        return not cloud.faults.denies(action)

    return {
        "EvaluationResults": [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed" if allowed(action, resource) else "implicitDeny",
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
