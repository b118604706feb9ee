"""Owns CloudFormation templates: parsing, dependencies, references and intrinsic functions.

JSON and YAML, with the functions and sections of the Template Reference that the README lists.
Nothing here calls a service.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from moto.cloudformation.utils import yaml_tag_constructor

from tests.standins.models.refusal import Refused

UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
NO_VALUE = object()
_SECTIONS = {"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings",
             "Conditions", "Resources", "Outputs", "Rules"}  # fmt: skip
_ATTRIBUTES = {"Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy",
               "UpdateReplacePolicy", "UpdatePolicy", "CreationPolicy"}  # fmt: skip
_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")


def invalid(message: str) -> Refused:
    return Refused("ValidationError", message, 400)


@dataclass(frozen=True)
class Template:
    """A parsed template."""

    text: str
    body: Mapping[str, Any]

    @property
    def resources(self) -> Mapping[str, Any]:
        return self.body["Resources"]

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.body.get("Parameters", {})

    @property
    def outputs(self) -> Mapping[str, Any]:
        return self.body.get("Outputs", {})

    def needs(self, logical: str) -> set[str]:
        """Return the resources that this one depends on."""
        resource = self.resources[logical]
        depends = resource.get("DependsOn", [])
        found = {depends} if isinstance(depends, str) else set(depends)
        found |= {name for name, _ in references(resource.get("Properties", {}))}
        return found & set(self.resources)

    def capabilities(self) -> list[str]:
        """Return the capabilities that the caller must acknowledge."""
        names = {"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
                 "AWS::IAM::User": "UserName", "AWS::IAM::Group": "GroupName"}  # fmt: skip
        found = [r for r in self.resources.values() if r["Type"].startswith("AWS::IAM::")]
        if any(names.get(r["Type"], "") in r.get("Properties", {}) for r in found):
            return ["CAPABILITY_NAMED_IAM"]
        return ["CAPABILITY_IAM"] if found else []


class _Yaml(yaml.SafeLoader):
    """YAML with CloudFormation's short forms of functions; dates are strings."""


_Yaml.add_multi_constructor("!", lambda at, name, node: yaml_tag_constructor(at, f"!{name}", node))
_Yaml.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def _from_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Yaml)


def parse(text: str) -> Template:
    """Parse a template. Raises Refused (ValidationError) with CloudFormation's message."""
    if len(text.encode()) > 51200:
        raise invalid(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
            "Member must have length less than or equal to 51200"
        )
    kind, load = ("JSON", json.loads) if text.lstrip().startswith("{") else ("YAML", _from_yaml)
    try:
        body = load(text)
    except (ValueError, yaml.YAMLError) as e:
        raise invalid(f"Template format error: {kind} not well-formed. ({e})") from e
    if not isinstance(body, dict):
        raise invalid("Template format error: unsupported structure.")
    if unknown := sorted(set(body) - _SECTIONS):
        raise invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    if not body.get("Resources"):
        raise invalid("Template format error: At least one Resources member must be defined.")
    for logical, resource in body["Resources"].items():
        if not re.fullmatch(r"[a-zA-Z0-9]+", logical):
            raise invalid(f"Template format error: Resource name {logical} is non alphanumeric.")
        if "Type" not in resource:
            raise invalid(
                f"Template format error: [/Resources/{logical}] "
                "Every Resources object must contain a Type member."
            )
        if wrong := sorted(set(resource) - _ATTRIBUTES):
            raise invalid(f"Invalid template resource property '{wrong[0]}'")
    known = set(body["Resources"]) | set(body.get("Parameters", {}))
    for section in ("Resources", "Outputs"):
        for name, _ in references(body.get(section, {})):
            if name not in known and not name.startswith("AWS::"):
                raise invalid(
                    f"Template format error: Unresolved resource dependencies [{name}] in the "
                    f"{section} block of the template"
                )
    made = Template(text, body)
    for logical in made.resources:
        depends = made.resources[logical].get("DependsOn", [])
        for name in [depends] if isinstance(depends, str) else depends:
            if name not in made.resources:
                raise invalid(
                    f"Template format error: Unresolved resource dependencies [{name}] in the "
                    "Resources block of the template"
                )
    _check_circles(made)
    return made


def _check_circles(template: Template) -> None:
    left = {logical: template.needs(logical) for logical in template.resources}
    while free := [logical for logical, needs in left.items() if not needs & set(left)]:
        for logical in free:
            del left[logical]
    if left:
        raise invalid(f"Circular dependency between resources: [{', '.join(left)}]")


def references(node: Any) -> Iterator[tuple[str, str | None]]:
    """Yield every (resource or parameter, attribute or None) that part of a template refers to."""
    if isinstance(node, list):
        for inner in node:
            yield from references(inner)
    elif isinstance(node, dict):
        if set(node) == {"Ref"}:
            yield node["Ref"], None
        elif set(node) == {"Fn::GetAtt"}:
            name, attribute = _attribute(node["Fn::GetAtt"])
            yield name, attribute
        elif set(node) == {"Fn::Sub"}:
            text, own = _sub(node["Fn::Sub"])
            yield from references(own)
            for name in _VARIABLE.findall(text):
                if name not in own:
                    first, _, attribute = name.strip().partition(".")
                    yield first, attribute or None
        else:
            for inner in node.values():
                yield from references(inner)


def _attribute(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        name, _, attribute = value.partition(".")
        return name, attribute
    return value[0], value[1]


def _sub(value: Any) -> tuple[str, Mapping[str, Any]]:
    return (value, {}) if isinstance(value, str) else (value[0], value[1])


@dataclass(frozen=True)
class Scope:
    """The values of names in one stack at one moment.

    `resource` returns the value of Ref (attribute None) or GetAtt, UNKNOWN before the resource
    exists; `imported` returns the value of another stack's export.
    """

    pseudo: Mapping[str, str]
    parameters: Mapping[str, Any]
    resource: Callable[[str, str | None], Any]
    zones: Callable[[str], list[str]] = field(default=lambda region: [])
    imported: Callable[[str], str] = field(default=lambda name: UNKNOWN)
    template: Template | None = None

    def condition(self, name: str) -> bool:
        assert self.template is not None
        return bool(self.resolve(self.template.body["Conditions"][name]))

    def resolve(self, node: Any) -> Any:
        """Return the node with its functions evaluated."""
        if isinstance(node, list):
            made = [self.resolve(inner) for inner in node]
            return [inner for inner in made if inner is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((key, value),) = node.items()
            if key == "Ref":
                return self._ref(value)
            if key == "Condition" and isinstance(value, str):
                return self.condition(value)
            if key.startswith("Fn::"):
                return self._function(key, value)
        made = {key: self.resolve(inner) for key, inner in node.items()}
        return {key: inner for key, inner in made.items() if inner is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        return self.resource(name, None)

    def _function(self, key: str, value: Any) -> Any:
        match key:
            case "Fn::GetAtt":
                return self.resource(*_attribute(value))
            case "Fn::Sub":
                text, own = _sub(value)
                return self._substituted(text, {k: self.resolve(v) for k, v in own.items()})
            case "Fn::If":
                return self.resolve(value[1] if self.condition(value[0]) else value[2])
            case "Fn::ImportValue":
                return self.imported(self.resolve(value))
            case "Fn::GetAZs":
                return self.zones(self.resolve(value) or self.pseudo["AWS::Region"])
        given = self.resolve(value)
        if UNKNOWN in json.dumps(given):
            return UNKNOWN
        match key:
            case "Fn::Join":
                return given[0].join(str(part) for part in given[1])
            case "Fn::Select":
                return given[1][int(given[0])]
            case "Fn::Split":
                return given[1].split(given[0])
            case "Fn::Base64":
                return base64.b64encode(given.encode()).decode()
            case "Fn::FindInMap":
                assert self.template is not None
                return self.template.body["Mappings"][given[0]][given[1]][given[2]]
            case "Fn::Equals":
                return given[0] == given[1]
            case "Fn::And":
                return all(given)
            case "Fn::Or":
                return any(given)
            case "Fn::Not":
                return not given[0]
            case "Fn::ToJsonString":
                return json.dumps(given)
        raise invalid(f"Template error: the stand-in does not support {key}")

    def _substituted(self, text: str, own: Mapping[str, Any]) -> str:
        unknown = False

        def value(found: re.Match[str]) -> str:
            nonlocal unknown
            name = found[1].strip()
            if name in own:
                made = own[name]
            elif "." in name:
                made = self.resource(*name.split(".", 1))
            else:
                made = self._ref(name)
            unknown = unknown or made == UNKNOWN
            return str(made)

        made = _VARIABLE.sub(value, text)
        return UNKNOWN if unknown else made.replace("${!", "${")


def parameters_of(
    template: Template, given: list[dict[str, Any]], before: Mapping[str, str]
) -> dict[str, str]:
    """Return the values of all parameters. Raises Refused as CloudFormation does."""
    values: dict[str, str] = {}
    for each in given:
        name = each["ParameterKey"]
        if each.get("UsePreviousValue"):
            if name not in before:
                raise invalid(f"Parameters: [{name}] must have values")
            values[name] = before[name]
        else:
            values[name] = each.get("ParameterValue", "")
    if extra := sorted(set(values) - set(template.parameters)):
        raise invalid(f"Parameters: [{', '.join(extra)}] do not exist in the template")
    for name, declared in template.parameters.items():
        if name not in values and "Default" in declared:
            values[name] = str(declared["Default"])
    if missing := sorted(set(template.parameters) - set(values)):
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    for name, declared in template.parameters.items():
        _check_parameter(name, declared, values[name])
    return values


def _check_parameter(name: str, declared: Mapping[str, Any], value: str) -> None:
    said = declared.get("ConstraintDescription")
    failed = f"Parameter {name} failed to satisfy constraint: "
    pattern = declared.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        raise invalid(failed + (said or f"must match pattern {pattern}"))
    allowed = declared.get("AllowedValues")
    if allowed is not None and value not in [str(v) for v in allowed]:
        raise invalid(failed + (said or f"must be one of {allowed}"))
    if declared["Type"] == "Number":
        try:
            float(value)
        except ValueError as e:
            raise invalid(f"Parameter '{name}' must be a number.") from e


def typed(template: Template, values: Mapping[str, str]) -> dict[str, Any]:
    """Return parameter values as functions see them, with lists as lists."""
    return {
        name: value.split(",") if _is_list(template.parameters[name]["Type"]) else value
        for name, value in values.items()
    }


def _is_list(kind: str) -> bool:
    return kind.startswith("List<") or kind == "CommaDelimitedList"
