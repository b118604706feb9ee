"""Owns the way back of resources that were deleted by hand: the stack without them, as a template.

CloudFormation creates a deleted resource again only if a template without it was deployed in
between (AWS re:Post, "resource that was deleted outside CloudFormation"). In that template, what
refers to the resource has the resource's own ID in place of the reference, so it does not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from voicecore.cloud.resources.deployed_stack import DeployedStack, MissingResource
from voicecore.cloud.resources.stack_failure import StackFailed
from voicecore.cloud.stacks.stack import Json, Stack, references

_ELB = "AWS::ElasticLoadBalancingV2"
_HERE = "${AWS::Region}:${AWS::AccountId}"

# Attributes that follow from the physical ID: what precedes the value, and what precedes it in the
# ID. The DNS name of a load balancer is not known: CloudFront keeps its own with any in its place.
_ATTRIBUTES = {
    ("AWS::IAM::Role", "Arn"): ("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/", ""),
    ("AWS::DynamoDB::Table", "Arn"): (f"arn:${{AWS::Partition}}:dynamodb:{_HERE}:table/", ""),
    ("AWS::EC2::SecurityGroup", "GroupId"): ("", ""),
    (f"{_ELB}::LoadBalancer", "DNSName"): ("deleted.invalid", None),
    (f"{_ELB}::LoadBalancer", "LoadBalancerFullName"): ("", "loadbalancer/"),
    (f"{_ELB}::TargetGroup", "TargetGroupFullName"): ("targetgroup/", "targetgroup/"),
}

# Types whose resources hold nothing and have no address of their own: they may go along with what
# they belong to.
_ATTACHED = re.compile(
    "Route$|RouteTableAssociation$|GatewayAttachment$|Scal|Listener|Lambda::(Permission|Url)$"
    "|RuntimeEndpoint$"
)

_NAME = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([A-Za-z0-9.]+))?\}")


def restoration_of(deployed: DeployedStack, template: Json) -> tuple[Stack, Stack]:
    """Return the deployed stack, of this template, without what is missing, and with it again.

    In both, what stands stays as it is, so that nothing meets a resource that is not ready: a new
    secret is empty. Raises StackFailed if something that stands would have to be replaced.
    """
    missing = {each.logical: _with_path(each, template) for each in deployed.missing}
    stack = Stack(deployed.name, template, dict(deployed.parameters), dict(deployed.tags))
    plain = {n: _literal(r, missing) for n, r in stack.resources.items() if n not in missing}
    gone = set(missing)
    while dependent := {n for n, r in plain.items() if n not in gone and gone & references(r)}:
        gone |= dependent
    needy = [n for n in gone - set(missing) if not _ATTACHED.search(stack.resources[n]["Type"])]
    if needy:
        raise StackFailed(
            f"{', '.join(sorted(missing))} of the stack {stack.name} was deleted by hand, and "
            f"cannot be created again without replacing {', '.join(sorted(needy))}.",
            f"Delete the stack, then deploy again:  aws cloudformation delete-stack --stack-name "
            f"{stack.name}",
        )
    kept = {n: _independent(r, gone) for n, r in plain.items() if n not in gone}
    outputs = {n: _literal(o, missing) for n, o in template.get("Outputs", {}).items()}
    outputs = {n: o for n, o in outputs.items() if not gone & references(o)}
    again = kept | {name: stack.resources[name] for name in gone}
    return (
        replace(stack, template=template | {"Resources": kept, "Outputs": outputs}),
        replace(stack, template=template | {"Resources": again}),
    )


def _independent(resource: Json, gone: Iterable[str]) -> Json:
    """Return the resource without DependsOn for those that are gone."""
    needs = [name for name in resource.get("DependsOn", ()) if name not in set(gone)]
    rest = {key: value for key, value in resource.items() if key != "DependsOn"}
    return rest | ({"DependsOn": needs} if needs else {})


def _literal(part: Any, missing: Mapping[str, MissingResource]) -> Any:
    """Return part of a template with the values of missing resources in place of references."""
    match part:
        case {"Ref": str(name)} if name in missing:
            return missing[name].physical
        case {"Fn::GetAtt": [str(name), str(attribute)]} if name in missing:
            value = _attribute(missing[name], attribute)
            return part if value is None else {"Fn::Sub": value}
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": _NAME.sub(lambda found: _substituted(found, missing), text)}
        case dict():
            return {key: _literal(value, missing) for key, value in cast("Json", part).items()}
        case list():
            return [_literal(value, missing) for value in cast("list[Any]", part)]
        case _:
            return part


def _substituted(found: re.Match[str], missing: Mapping[str, MissingResource]) -> str:
    name, attribute = found[1], found[2]
    if name not in missing:
        return found[0]
    if attribute is None:
        return missing[name].physical
    return _attribute(missing[name], attribute) or found[0]


def _attribute(resource: MissingResource, attribute: str) -> str | None:
    """Return an attribute of a missing resource, for Fn::Sub; None if it is not known."""
    if (resource.type, attribute) not in _ATTRIBUTES:
        return None
    start, before = _ATTRIBUTES[resource.type, attribute]
    if before is None:
        return start
    end = resource.physical.partition(before)[2] if before else resource.physical
    return f"{start}{resource.path}{end}"


def _with_path(resource: MissingResource, template: Json) -> MissingResource:
    properties = template["Resources"][resource.logical].get("Properties", {})
    path = properties.get("Path", "") if resource.type == "AWS::IAM::Role" else ""
    return replace(resource, path=path.removeprefix("/"))
