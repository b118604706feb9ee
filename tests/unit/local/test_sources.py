"""Which saved files make a new version of an agent."""

import asyncio
import os
from pathlib import Path

import pytest

from voicecore.local.processes.sources import is_source, saved_since, saves, source_folders


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bot.py", True),
        ("prompts/greeting.j2", True),
        (".env", True),
        ("pyproject.toml", True),
        (".venv/lib/x.py", False),
        (".voicecore/dev.json", False),
        ("node_modules/x/package.json", False),
        ("__pycache__/bot.cpython-312.pyc", False),
        ("bot.py~", False),
        ("recording.wav", False),
    ],
)
def test_saved_source_files_make_a_new_version(path: str, expected: bool) -> None:
    assert is_source(Path("/agent", path), Path("/agent")) == expected


def test_virtual_environment_of_any_name_is_not_watched(tmp_path: Path) -> None:
    for folder in ("my-env/lib", "src/prompts", ".voicecore/venv/agent"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "my-env/pyvenv.cfg").touch()
    assert source_folders(tmp_path) == [tmp_path, tmp_path / "src", tmp_path / "src/prompts"]


def test_only_source_files_count_as_saved_since_a_moment(tmp_path: Path) -> None:
    for name, saved in (("bot.py", 100), ("recording.wav", 300)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (saved, saved))
    assert not saved_since(200, tmp_path)
    assert saved_since(99, tmp_path)


def test_files_of_a_new_folder_are_watched(tmp_path: Path) -> None:
    async def watch() -> None:
        watching = saves(tmp_path)
        saved = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        (tmp_path / "prompts").mkdir()
        (tmp_path / "prompts/greeting.txt").write_text("Hello")
        await asyncio.wait_for(saved, 60)
        saved = asyncio.ensure_future(anext(watching))
        await asyncio.sleep(0)
        (tmp_path / "prompts/greeting.txt").write_text("Good day")
        await asyncio.wait_for(saved, 60)
        await watching.aclose()

    asyncio.run(watch())
