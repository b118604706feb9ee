"""Messages of a client are checked before Pipecat reads them; errors name the bot's line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..client_messages import located, problem_of, without_nul
from ..own_code import BOT


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


def failure(path: Path) -> Exception:
    """Return the error of a tool whose code is at this path."""
    names: dict[str, Any] = {}
    exec(compile("def tool() -> None:\n    int('x')\n", str(path), "exec"), names)
    try:
        names["tool"]()
    except ValueError as error:
        return error
    raise AssertionError("the tool does not fail")


def test_error_in_the_bots_code_names_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = located("It failed", failure(BOT / "bot.py"))
    assert text == "It failed (ValueError in bot.py, line 2)"
    logged = json.loads(capsys.readouterr().out)
    assert logged["level"] == "ERROR"
    assert logged["message"].splitlines()[0] == f'  File "{BOT / "bot.py"}", line 2, in tool'
    assert logged["message"].splitlines()[-1].startswith("ValueError: invalid literal")
    assert "test_client_messages" not in logged["message"]


@pytest.mark.parametrize("path", ["internal/app.py", ".venv/lib/python3.12/site-packages/x.py"])
def test_error_in_other_code_stays_as_it_is(path: str) -> None:
    assert located("It failed", failure(BOT / path)) == "It failed"
