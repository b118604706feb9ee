"""The reason for a program's end, as its output has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicecore.local.processes.crash_reason import crash_reason, last_error

TRACEBACK = """\
starting
Traceback (most recent call last):
  File "app.py", line 3, in <module>
    import pipecat
    ^^^^^^^^^^^^^^
ModuleNotFoundError: No module named 'pipecat'
"""
IN_A_TOOL = """\
Traceback (most recent call last):
  File "FOLDER/internal/app.py", line 209, in load
    import bot
  File "FOLDER/bot.py", line 40, in <module>
    price = PRICES["tea"]
  File "FOLDER/.venv/lib/python3.12/site-packages/prices/table.py", line 7, in __getitem__
    raise KeyError(name)
KeyError: 'tea'
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'pipecat'"),
        (TRACEBACK + "bye\n", "ModuleNotFoundError: No module named 'pipecat'"),
        (TRACEBACK + TRACEBACK.replace("pipecat", "boto3"), "No module named 'boto3'"),
        ("hello\nSegmentation fault\n\n", "Segmentation fault"),
        ("", "it wrote nothing"),
    ],
)
def test_last_error_is_the_end_of_the_last_traceback_or_of_the_output(
    output: str, expected: str
) -> None:
    assert last_error(output.splitlines()).endswith(expected)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (IN_A_TOOL, "KeyError: 'tea' (agent/bot.py, line 40)"),
        (IN_A_TOOL.replace("FOLDER/bot", "/usr/lib/bot"), "(agent/internal/app.py, line 209)"),
        (IN_A_TOOL.replace("FOLDER", "/app"), "KeyError: 'tea'"),  # in a container
        (
            "Traceback (most recent call last):\n"
            '  File "FOLDER/internal/app.py", line 209, in load\n'
            '  File "FOLDER/bot.py", line 53\n    TOOLS = [hours\n            ^\n'
            "SyntaxError: '[' was never closed\n",
            "SyntaxError: '[' was never closed (agent/bot.py, line 53)",
        ),
        (
            '  File "FOLDER/main.py", line 2\n    print(\n         ^\n'
            "SyntaxError: '(' was never closed\n",
            "SyntaxError: '(' was never closed (agent/main.py, line 2)",
        ),
        ("Segmentation fault\n", "Segmentation fault"),
    ],
)
def test_names_the_line_of_the_users_own_code(tmp_path: Path, output: str, expected: str) -> None:
    folder = tmp_path / "agent"
    lines = output.replace("FOLDER", str(folder)).splitlines()
    assert crash_reason(lines, folder).error.endswith(expected)


@pytest.mark.parametrize(
    ("files", "error", "expected"),
    [
        (["pyproject.toml"], "No module named 'httpx'", "uv add --project {folder} httpx\n"),
        (
            ["pyproject.toml"],
            "No module named 'google.genai'",
            "uv add --project {folder} google\n",
        ),
        (["requirements.txt"], "No module named 'httpx'", "add it to my agent/requirements.txt.\n"),
        ([], "No module named 'httpx'", ""),
        (["pyproject.toml", "internal"], "No module named 'internal.sockets'", ""),
        (["pyproject.toml"], "cannot import name 'x' from 'httpx'", ""),
    ],
)
def test_missing_module_comes_with_the_command_that_adds_it(
    tmp_path: Path, files: list[str], error: str, expected: str
) -> None:
    folder = tmp_path / "my agent"
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    output = ["Traceback (most recent call last):", f"ModuleNotFoundError: {error}"]
    advice = crash_reason(output, folder).advice
    assert advice.endswith(expected.format(folder=f"'{folder}'"))
    assert bool(advice) is bool(expected)


def test_folder_of_the_command_is_as_the_user_types_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    advice = crash_reason(["ModuleNotFoundError: No module named 'httpx'"], tmp_path / "agent")
    assert "uv add --project agent httpx" in advice.advice
