"""Owns the CloudFormation stack as a value: its template, parameters and tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from voicecore.project import aws_names

Json = dict[str, Any]

METADATA = "Metadata"
_RECORD = "voicecore"
_HEAD = ("AWSTemplateFormatVersion", "Description")

BODY_MAX = 51_200
"""Bytes of a template that CloudFormation accepts without an S3 bucket (CreateChangeSet)."""


@dataclass(frozen=True)
class Parameter:
    """A value that is given when the stack is deployed."""

    description: str
    type: str = "String"
    default: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Resource:
    """A resource that the stack creates."""

    type: str
    properties: Json
    depends_on: tuple[str, ...] = ()
    """Resources that must exist first although no property refers to them."""


@dataclass(frozen=True)
class StackOutput:
    """A value that the deployed stack returns."""

    description: str
    value: Any


@dataclass(frozen=True)
class Stack:
    """The desired state of a stack."""

    name: str
    template: Json
    parameters: dict[str, str]
    """The values of the template's parameters, by name."""
    tags: dict[str, str]
    """Tags, which CloudFormation puts on every resource of the stack that can have them."""
    foreign_tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags that others put on the deployed stack, and that stay."""
    deployed_name: str = ""
    """Name of the deployed stack, if others deployed it under another."""
    pinned: frozenset[str] = field(default_factory=frozenset[str])
    """Parameters that keep their first value: another would replace resources that calls use."""

    @property
    def resources(self) -> Mapping[str, Json]:
        """The template's resources by logical ID."""
        return self.template["Resources"]

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags that the deployed stack is to have; AWS sets its own, such as a catalog's."""
        tags = {**self.foreign_tags, **self.tags}
        return {key: value for key, value in tags.items() if not key.startswith("aws:")}

    @property
    def document(self) -> Json:
        """The template with the record of which stack it is, and which tags are voicecore's."""
        record = {
            "stack": self.name,
            "project": self.tags.get(aws_names.TAG_PROJECT),
            "id": self.tags.get(aws_names.TAG_ID),
            "tags": [key for key in self.tags if not key.startswith("voicecore:")],
        }
        head = {key: self.template[key] for key in _HEAD if key in self.template}
        return head | {METADATA: {_RECORD: _without_empty(record)}} | self.template

    @property
    def body(self) -> str:
        """The document as it is sent to CloudFormation."""
        return json.dumps(self.document, separators=(",", ":"))

    def keeping(self, existing: Mapping[str, str]) -> Stack:
        """Return the stack with the pinned parameters of the existing one."""
        kept = {name: existing[name] for name in self.pinned if name in existing}
        return replace(self, parameters=self.parameters | kept)

    def without(self, logical_ids: Iterable[str]) -> Stack:
        """Return the stack without some resources, and without parameters and outputs of theirs."""
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
    """Return the template as a CloudFormation document."""
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


def record_in(template: Json) -> Mapping[str, Any]:
    """Return the record that `Stack.document` wrote; empty without one."""
    record: Mapping[str, Any] = template.get(METADATA, {}).get(_RECORD, {})
    return record


def ref(name: str) -> Json:
    """Return a reference to a resource, or to a parameter's value."""
    return {"Ref": name}


def get_att(name: str, attribute: str) -> Json:
    """Return a reference to an attribute of a resource."""
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str) -> Json:
    """Return a text in which CloudFormation substitutes each ${name}."""
    return {"Fn::Sub": text}


def join(separator: str, values: Sequence[Any]) -> Json:
    """Return several values joined to one text."""
    return {"Fn::Join": [separator, list(values)]}


def arn(service: str, resource: str, region: str = "${AWS::Region}") -> Json:
    """Return an ARN in the stack's account; `resource` may contain ${names} and *."""
    return sub(f"arn:${{AWS::Partition}}:{service}:{region}:${{AWS::AccountId}}:{resource}")


def references(value: Any) -> set[str]:
    """Return every name that Ref, Fn::GetAtt or Fn::Sub mention in part of a template."""
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
