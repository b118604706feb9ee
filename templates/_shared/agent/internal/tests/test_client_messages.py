"""Messages of a client are checked before Pipecat reads them."""

from __future__ import annotations

from typing import Any

import pytest

from ..client_messages import problem_of, without_nul


def typed(text: str) -> dict[str, Any]:
    return {"label": "rtvi-ai", "type": "send-text", "id": "1", "data": {"content": text}}


def test_nul_is_dropped_wherever_it_is() -> None:
    assert without_nul(typed("What\0 time?")) == typed("What time?")
    assert without_nul([{"a\0": ["\0", 1]}]) == [{"a\0": ["", 1]}]


@pytest.mark.parametrize("message", [[], 3, "text", None, typed(""), typed(" \n")])
def test_other_json_is_told(message: Any) -> None:
    assert problem_of(message)


@pytest.mark.parametrize("message", [typed("Hi"), {}, {"data": 3}, {"type": "send-text"}])
def test_message_is_for_pipecat(message: dict[str, Any]) -> None:
    assert problem_of(message) == ""
