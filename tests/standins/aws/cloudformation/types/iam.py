"""The resource type of IAM roles."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Properties,
    ResourceType,
    json_text,
    tag_pairs,
)


def _role(c: Context, p: Properties) -> str:
    name = p.get("RoleName") or c.name()
    chosen = {k: p[k] for k in ("Path", "Description", "PermissionsBoundary") if k in p}
    if "MaxSessionDuration" in p:
        chosen["MaxSessionDuration"] = int(p["MaxSessionDuration"])
    c.client("iam").create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json_text(p["AssumeRolePolicyDocument"]),
        Tags=c.pairs(),
        **chosen,
    )
    _role_policies(c, name, {}, p)
    return name


def _role_policies(c: Context, name: str, old: Properties, p: Properties) -> None:
    iam = c.client("iam")
    before = {each["PolicyName"]: each for each in old.get("Policies", [])}
    after = {each["PolicyName"]: each for each in p.get("Policies", [])}
    for policy in before.keys() - after.keys():
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy, each in after.items():
        if before.get(policy) != each:
            iam.put_role_policy(
                RoleName=name, PolicyName=policy, PolicyDocument=json_text(each["PolicyDocument"])
            )
    had, has = set(old.get("ManagedPolicyArns", [])), set(p.get("ManagedPolicyArns", []))
    for arn in had - has:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in has - had:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)


def _role_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    iam = c.client("iam")
    if old["AssumeRolePolicyDocument"] != p["AssumeRolePolicyDocument"]:
        iam.update_assume_role_policy(
            RoleName=physical, PolicyDocument=json_text(p["AssumeRolePolicyDocument"])
        )
    if old.get("Description") != p.get("Description"):
        iam.update_role(RoleName=physical, Description=p.get("Description", ""))
    before, after = old.get("PermissionsBoundary"), p.get("PermissionsBoundary")
    if before and not after:
        iam.delete_role_permissions_boundary(RoleName=physical)
    elif after != before:
        iam.put_role_permissions_boundary(RoleName=physical, PermissionsBoundary=after)
    _role_policies(c, physical, old, p)


def _role_delete(c: Context, physical: str, p: Properties) -> None:
    iam = c.client("iam")
    for policy in iam.list_role_policies(RoleName=physical)["PolicyNames"]:
        iam.delete_role_policy(RoleName=physical, PolicyName=policy)
    for each in iam.list_attached_role_policies(RoleName=physical)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=physical, PolicyArn=each["PolicyArn"])
    iam.delete_role(RoleName=physical)


def _role_attributes(c: Context, physical: str) -> dict[str, Any]:
    role = c.client("iam").get_role(RoleName=physical)["Role"]
    return {"Arn": role["Arn"], "RoleId": role["RoleId"]}


def _role_settled(c: Context, physical: str) -> bool:
    arn = _role_attributes(c, physical)["Arn"]
    made = c.cloud.setdefault(dict, "roles").get(arn, 0.0)
    return c.cloud.clock.seconds() >= made + c.cloud.durations.role_propagation


def _role_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    iam = c.client("iam")
    if gone:
        iam.untag_role(RoleName=physical, TagKeys=gone)
    if tags:
        iam.tag_role(RoleName=physical, Tags=tag_pairs(tags))


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::IAM::Role": ResourceType(
        _role, _role_delete, _role_attributes, _role_update, _role_settled, retag=_role_retag,
        named_by="RoleName",
    ),
}  # fmt: skip
