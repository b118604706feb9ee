"""Owns reading the template that GetTemplate returns: botocore parses JSON, and leaves YAML."""

# yaml has no types.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

from voicecore.cloud.stacks.stack import Json


def template_from(body: Json | str) -> Json:
    """Return the template, with `!Ref` and other short forms of functions in their long form."""
    if not isinstance(body, str):
        return body
    import yaml  # takes time to load, and only templates that others wrote are YAML

    class Loader(yaml.SafeLoader):
        """Reads YAML as CloudFormation does: tags name functions, and dates are strings."""

    def long_form(loader: yaml.SafeLoader, function: str, node: yaml.Node) -> Json:
        value: Any = node.value
        if isinstance(node, yaml.MappingNode):
            value = loader.construct_mapping(node, deep=True)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        elif function == "GetAtt":
            value = value.split(".", 1)
        return {function if function in ("Ref", "Condition") else f"Fn::{function}": value}

    Loader.add_multi_constructor("!", long_form)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    return yaml.load(body, Loader)  # noqa: S506 - a SafeLoader
