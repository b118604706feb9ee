"""Owns JSON text: read from strangers, and written so that every program can read it."""

from __future__ import annotations

import json
import math
from typing import Any, cast

_DEPTH_MAX = 100
"""Levels of lists and objects. Deeper, Python's own functions exceed its recursion limit later."""


class NotJson(ValueError):
    """The text is not JSON, or no program of good will writes it."""


def parse(text: str | bytes) -> Any:
    """Return what the text holds; NaN and infinity, which JSON lacks, are None. Raises NotJson."""
    try:
        document = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise NotJson(str(error)) from None
    if isinstance(text, bytes) or text.count("[") + text.count("{") > _DEPTH_MAX:
        _check_depth(document)
    return document


def dump(document: object, indent: int | None = None) -> str:
    """Return the document as JSON; NaN and infinity become null."""
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(document), parse_constant=lambda _: None)
        return json.dumps(finite, indent=indent, ensure_ascii=False)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _check_depth(document: object) -> None:
    level = [document]
    for _ in range(_DEPTH_MAX):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise NotJson(f"it is nested more than {_DEPTH_MAX} levels deep")


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(cast("dict[str, object]", node).values())
    return cast("list[object]", node) if isinstance(node, list) else []
