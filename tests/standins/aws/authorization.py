"""Owns what a caller may do: its policies and boundary, those of its role, and the organization's.

Service control policies only deny; callers without policies of their own may do everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.access import Access, decision, tags_in
from tests.standins.aws.cloud import Caller, Cloud, new_caller

Statements = Sequence[Mapping[str, Any]]


def denial(cloud: Cloud, caller: Caller, access: Access) -> str | None:
    """Return why the caller may not do this, in AWS's words; None if it may."""
    access = replace(access, arn=_with_path(caller.account, access.arn))
    if decision(cloud.control_policies, access) == "explicitDeny":
        return "with an explicit deny in a service control policy"
    policies = cloud.policies.get(caller.access_key_id)
    if policies is None:
        return None
    match decision(policies, access):
        case "explicitDeny":
            return "with an explicit deny in an identity-based policy"
        case "implicitDeny":
            return f"because no identity-based policy allows the {access.action} action"
    boundary = cloud.boundaries.get(caller.access_key_id)
    if boundary is not None and decision(boundary, access) != "allowed":
        return f"because no permissions boundary allows the {access.action} action"
    return None


def wrong_tag(cloud: Cloud, params: Mapping[str, Any]) -> str | None:
    """Return why a tag policy of the organization refuses a call; None if it does not.

    The words are those of the Organizations User Guide, orgs_manage_policies_tag-policies.
    """
    for key, value in tags_in(params).items():
        if value not in cloud.tag_policy.get(key, [value]):
            return (
                "The tag policy does not allow the specified value for the following tag key: "
                f"'{key}'."
            )
    return None


def role_caller(cloud: Cloud, account: str, arn: str) -> Caller | None:
    """Return a session of this role for CloudFormation; None if it cannot assume the role.

    It may do what the role's policies allow now, within its boundary.
    """
    role = _role(account, arn)
    if role is None or "cloudformation.amazonaws.com" not in role.assume_role_policy_document:
        return None
    name = arn.rpartition("/")[2]
    caller = cloud.setdefault(
        lambda: new_caller(account, name, partition=_partition(arn)), "sessions of roles", arn
    )
    policies, boundary = role_policies(account, arn) or ([], None)
    cloud.policies[caller.access_key_id] = policies
    if boundary is not None:
        cloud.boundaries[caller.access_key_id] = boundary
    return caller


def role_policies(account: str, arn: str) -> tuple[Statements, Statements | None] | None:
    """Return the statements of a role and of its boundary; None if there is no such role."""
    role = _role(account, arn)
    if role is None:
        return None
    attached = [_document_of(policy) for policy in role.managed_policies.values()]
    own = [s for text in (*role.policies.values(), *attached) for s in _statements(text)]
    if not role.permissions_boundary_arn:
        return own, None
    known = get_backend("iam")[account][_partition(arn)].managed_policies
    bounds = known.get(role.permissions_boundary_arn)
    return own, list(_statements(_document_of(bounds))) if bounds else []


def _with_path(account: str, arn: str) -> str:
    """Return the ARN of the role that has this name, which calls give without its path."""
    head, _, name = arn.partition(":role/")
    roles = get_backend("iam")[account][_partition(arn)].roles.values()
    return next((role.arn for role in roles if head and role.name == name), arn)


def _role(account: str, arn: str) -> Any:
    roles = get_backend("iam")[account][_partition(arn)].roles.values()
    return next((role for role in roles if role.arn == arn), None)


def _partition(arn: str) -> str:
    return arn.split(":")[1] if arn.startswith("arn:") else "aws"


def _document_of(policy: Any) -> str:
    return next(v.document for v in policy.versions if v.version_id == policy.default_version_id)


def _statements(text: str) -> Iterator[Mapping[str, Any]]:
    found = json.loads(text)["Statement"]
    yield from found if isinstance(found, list) else [found]
