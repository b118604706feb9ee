"""The wheel as a stranger gets it: built, installed into an empty environment, and used."""

import subprocess
import zipfile
from pathlib import Path

import pytest
import uv

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = uv.find_uv_bin()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", out, ROOT], check=True)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def stranger(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("stranger") / "venv"
    subprocess.run([UV, "venv", "--quiet", venv], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", venv, wheel], check=True)
    return venv / "bin"


def test_the_wheel_holds_every_template_and_sample(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "templates", "voicecore"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    wanted = {name.replace("templates/", "voicecore/_templates/", 1) for name in tracked}
    assert wanted <= inside
    assert not [name for name in inside if "__pycache__" in name or ".venv" in name]


def test_init_works_from_the_wheel(stranger: Path, tmp_path: Path) -> None:
    subprocess.run([stranger / "voicecore", "init", "mine", "--yes"], cwd=tmp_path, check=True)
    assert (tmp_path / "mine/agent/bot.py").exists()


def test_talk_without_its_extra_says_what_to_install(stranger: Path, tmp_path: Path) -> None:
    subprocess.run([stranger / "voicecore", "init", "mine", "--yes"], cwd=tmp_path, check=True)
    talk = subprocess.run(
        [stranger / "voicecore", "talk", "--project", "mine"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert talk.returncode == 4
    assert "pip install 'voicecore[talk]'" in talk.stderr
