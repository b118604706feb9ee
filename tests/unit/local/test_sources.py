"""Which saved files make a new version of an agent."""

from pathlib import Path

import pytest

from voicecore.local.processes.sources import is_source


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bot.py", True),
        ("prompts/greeting.j2", True),
        (".env", True),
        ("pyproject.toml", True),
        (".venv/lib/x.py", False),
        ("__pycache__/bot.cpython-312.pyc", False),
        ("bot.py~", False),
        ("recording.wav", False),
    ],
)
def test_saved_source_files_make_a_new_version(path: str, expected: bool) -> None:
    assert is_source(Path("/agent", path), Path("/agent")) == expected
