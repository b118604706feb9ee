"""A project from elsewhere is run with AWS credentials only after a warning."""

import io
import shutil
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.output import Output
from voicecore.project.foreign_code import warn_of_foreign_code

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}


def warning(root: Path, env: dict[str, str]) -> str:
    stderr = io.StringIO()
    warn_of_foreign_code(Output(io.StringIO(), stderr), env, root)
    return stderr.getvalue()


def test_warns_once_of_a_cloned_project(tmp_path: Path) -> None:
    assert warning(tmp_path, {}) == ""
    first = warning(tmp_path, KEYS)
    assert "was not created on this machine" in first
    assert "unset AWS_SECRET_ACCESS_KEY" in first
    assert "secret" not in first.replace("AWS_SECRET", "")
    assert warning(tmp_path, KEYS) == ""


def test_does_not_warn_of_a_project_that_init_created(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes")
    assert warning(tmp_path / "mine", KEYS) == ""


def test_marker_in_a_clone_does_not_stop_the_warning(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes")
    shutil.copytree(tmp_path / "mine", tmp_path / "clone/mine")
    assert "was not created" in warning(tmp_path / "clone/mine", KEYS)


@pytest.mark.parametrize("command", ["build", "dev", "talk --text", "turn check", "deploy"])
def test_commands_warn_before_they_run_code_of_a_clone(
    voicecore: Voicecore, tmp_path: Path, command: str
) -> None:
    voicecore("init", "mine", "--yes", "--transport", "webrtc")
    clone = tmp_path / "clone"
    shutil.copytree(tmp_path / "mine", clone)
    for part in ("agent", "server"):  # no command gets as far as running something
        (clone / part / "pyproject.toml").write_text("not TOML")
    (clone / "agent/Dockerfile").unlink()
    result = voicecore(*command.split(), cwd=clone, env=KEYS)
    assert "clone was not created on this machine" in result.stderr
    assert result.code != 0
