"""A CloudFormation stack as a value: its template, and what is given with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

Json = dict[str, Any]

BODY_MAX = 51_200
"""Bytes of a template that CloudFormation takes without an S3 bucket (CreateChangeSet)."""


@dataclass(frozen=True)
class Parameter:
    """A value that the template leaves open."""

    description: str
    type: str = "String"
    default: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Resource:
    """One thing that the stack makes."""

    type: str
    properties: Json
    depends_on: tuple[str, ...] = ()
    """What must exist first although no property refers to it."""


@dataclass(frozen=True)
class StackOutput:
    """A value that the stack tells when it is made."""

    description: str
    value: Any


@dataclass(frozen=True)
class Stack:
    """A stack as it should be."""

    name: str
    template: Json
    parameters: dict[str, str]
    """The values of the template's parameters."""
    tags: dict[str, str]
    """CloudFormation puts them on everything in the stack that can have tags."""
    settled: frozenset[str] = field(default_factory=frozenset[str])
    """Parameters that keep the value they once had: another would replace what calls run on."""

    @property
    def resources(self) -> Mapping[str, Json]:
        """The template's resources by logical id."""
        return self.template["Resources"]

    @property
    def body(self) -> str:
        """The template as it is sent."""
        return json.dumps(self.template, separators=(",", ":"))

    def keeping(self, existing: Mapping[str, str]) -> Stack:
        """The stack with the parameters that have been settled in the existing one."""
        kept = {name: existing[name] for name in self.settled if name in existing}
        return replace(self, parameters=self.parameters | kept)

    def without(self, logical_ids: Iterable[str]) -> Stack:
        """The stack without some resources, nor what only they used of parameters and outputs."""
        gone = set(logical_ids)
        resources = {name: r for name, r in self.resources.items() if name not in gone}
        outputs = {
            name: output
            for name, output in self.template.get("Outputs", {}).items()
            if not references(output) & gone
        }
        used = references([resources, outputs])
        declared: Mapping[str, Json] = self.template.get("Parameters", {})
        parameters = {name: p for name, p in declared.items() if name in used}
        return replace(
            self,
            template=_without_empty(
                self.template
                | {"Parameters": parameters, "Resources": resources, "Outputs": outputs}
            ),
            parameters={name: v for name, v in self.parameters.items() if name in parameters},
        )


def template(
    description: str,
    resources: Mapping[str, Resource],
    parameters: Mapping[str, Parameter],
    outputs: Mapping[str, StackOutput],
) -> Json:
    """The template in CloudFormation's own words."""
    return _without_empty(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": description,
            "Parameters": {name: _parameter(p) for name, p in parameters.items()},
            "Resources": {name: _resource(r) for name, r in resources.items()},
            "Outputs": {
                name: {"Description": o.description, "Value": o.value}
                for name, o in outputs.items()
            },
        }
    )


def ref(name: str) -> Json:
    """What CloudFormation calls a resource, or a parameter's value."""
    return {"Ref": name}


def get_att(name: str, attribute: str) -> Json:
    """An attribute of a resource."""
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str) -> Json:
    """Text in which CloudFormation fills in each ${name}."""
    return {"Fn::Sub": text}


def join(separator: str, values: Sequence[Any]) -> Json:
    """One text of several values."""
    return {"Fn::Join": [separator, list(values)]}


def arn(service: str, resource: str, region: str = "${AWS::Region}") -> Json:
    """The ARN of something in this account; `resource` may hold ${names} and *."""
    return sub(f"arn:${{AWS::Partition}}:{service}:{region}:${{AWS::AccountId}}:{resource}")


def references(value: Any) -> set[str]:
    """Every name that Ref, Fn::GetAtt or Fn::Sub mention in part of a template."""
    match value:
        case {"Ref": str(name)}:
            return {name}
        case {"Fn::GetAtt": [str(name), *_]}:
            return {name}
        case {"Fn::Sub": str(text)}:
            return {part.split("}")[0].split(".")[0] for part in text.split("${")[1:]}
        case dict():
            parts = list(cast("Json", value).values())
        case list():
            parts = cast("list[Any]", value)
        case _:
            parts = []
    return {name for part in parts for name in references(part)}


def _parameter(parameter: Parameter) -> Json:
    return _without_empty(
        {
            "Type": parameter.type,
            "Description": parameter.description,
            "Default": parameter.default,
            "AllowedPattern": parameter.pattern,
        }
    )


def _resource(resource: Resource) -> Json:
    return _without_empty(
        {
            "Type": resource.type,
            "DependsOn": list(resource.depends_on),
            "Properties": resource.properties,
        }
    )


def _without_empty(part: Json) -> Json:
    return {key: value for key, value in part.items() if value not in (None, {}, [])}
