"""Owns AWS's resource schemas, from cfn-lint: allowed properties, and which need replacement."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@functools.cache
def _folder() -> Path:
    found = find_spec("cfnlint")  # only its files are read: the package is slow to load
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "data" / "schemas"


@functools.cache
def _index(region: str) -> Mapping[str, str]:
    return json.loads((_folder() / "providers" / f"{region}.json").read_text())


@functools.cache
def schema_of(kind: str, region: str) -> Mapping[str, Any] | None:
    """Return the schema of a resource type; None if the region lacks the type."""
    name = _index(region).get(kind)
    if name is None:
        return None
    return json.loads((_folder() / "resources" / f"{name}.json").read_text())


def replacing(schema: Mapping[str, Any]) -> set[str]:
    """Return the properties whose change replaces the resource; nested ones count as outermost."""
    return {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}


def taggable(schema: Mapping[str, Any]) -> bool:
    return schema.get("tagging", {}).get("taggable", "Tags" in schema["properties"])


def mistakes(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors that CloudFormation reports for a resource's properties."""
    read_only = {p.split("/")[2] for p in schema.get("readOnlyProperties", []) if p.count("/") == 2}
    for name in read_only & set(value):
        yield f"Encountered unsupported property {name}"
    yield from _mistakes(value, schema, schema, "#")


def _mistakes(
    value: Any, shape: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    while "$ref" in shape:
        shape = _follow(shape["$ref"], root)
    if isinstance(value, dict) and "properties" in shape:
        if shape.get("additionalProperties") is False and not shape.get("patternProperties"):
            for name in set(value) - set(shape["properties"]):
                yield f"{at}: extraneous key [{name}] is not permitted"
        for name in shape.get("required", []):
            if name not in value:
                yield f"{at}: required key [{name}] not found"
        for name, inner in value.items():
            if name in shape["properties"]:
                yield from _mistakes(inner, shape["properties"][name], root, f"{at}/{name}")
    elif isinstance(value, list) and "items" in shape:
        for number, inner in enumerate(value):
            yield from _mistakes(inner, shape["items"], root, f"{at}/{number}")
    elif "enum" in shape and isinstance(value, str) and value not in shape["enum"]:
        yield f"{at}: {value} is not a valid enum value"
    if isinstance(value, list) and len(value) < shape.get("minItems", 0):
        yield f"{at}: expected minimum item count: {shape['minItems']}, found: {len(value)}"
    if isinstance(value, list) and len(value) > shape.get("maxItems", 10**9):
        yield f"{at}: expected maximum item count: {shape['maxItems']}, found: {len(value)}"


def _follow(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
