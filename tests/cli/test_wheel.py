"""The wheel as a user gets it: built, installed into an empty environment, and run."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import uv

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = uv.find_uv_bin()
DISTRIBUTION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", out, ROOT], check=True)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed_bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of an environment that holds the wheel and no extra."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([UV, "venv", "--quiet", venv], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", venv, wheel], check=True)
    return venv / "bin"


def test_wheel_contains_every_template_and_sample(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "templates", "voicecore"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {name.replace("templates/", "voicecore/_templates/", 1) for name in tracked}
    assert expected <= inside
    assert not [name for name in inside if "__pycache__" in name or ".venv" in name]


def test_init_works_from_wheel(installed_bin: Path, tmp_path: Path) -> None:
    subprocess.run([installed_bin / "voicecore", "init", "mine", "--yes"], cwd=tmp_path, check=True)
    assert (tmp_path / "mine/agent/bot.py").exists()


def test_wheel_has_the_docs(installed_bin: Path) -> None:
    argv = [installed_bin / "voicecore", "docs", "update"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert shown == (ROOT / "docs/update.md").read_text()


def test_talk_without_extra_says_what_to_install(installed_bin: Path, tmp_path: Path) -> None:
    subprocess.run([installed_bin / "voicecore", "init", "mine", "--yes"], cwd=tmp_path, check=True)
    talk = subprocess.run(
        [installed_bin / "voicecore", "talk", "--project", "mine"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert talk.returncode == 4
    assert f"pip install '{DISTRIBUTION}[talk]'" in talk.stderr


def test_uv_tool_install_puts_command_on_path(wheel: Path, tmp_path: Path) -> None:
    env = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    _install(env, UV, "tool", "install", f"{DISTRIBUTION}[talk] @ {wheel.as_uri()}")
    assert _list_devices(tmp_path / "bin/voicecore").startswith("{")


def test_pipx_install_puts_command_on_path(wheel: Path, tmp_path: Path) -> None:
    env = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"),
           "PIPX_MAN_DIR": str(tmp_path / "man")}  # fmt: skip
    pipx = (sys.executable, "-m", "pipx")
    _install(env, *pipx, "install", "--backend", "uv", f"{DISTRIBUTION}[talk] @ {wheel.as_uri()}")
    assert _list_devices(tmp_path / "bin/voicecore").startswith("{")


def _install(env: dict[str, str], *command: str) -> None:
    subprocess.run(command, env={**os.environ, **env}, check=True)


def _list_devices(voicecore: Path) -> str:
    """Return the devices as JSON; works only if the extra `talk` is installed."""
    argv = [voicecore, "talk", "--list-devices", "--json"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("folder", ["voicecore", "templates", "docs", "README.md", "CHANGELOG.md"])
def test_install_hints_name_the_distribution(folder: str) -> None:
    pattern = re.compile(r"(?:pip|pipx|tool) install [^\n`]*?\bvoicecore\b(?!-)")
    paths = [ROOT / folder] if (ROOT / folder).is_file() else (ROOT / folder).rglob("*")
    wrong = [
        f"{path}: {match[0]}"
        for path in paths
        if path.suffix in (".py", ".md", ".jinja", ".toml")
        for match in pattern.finditer(path.read_text())
    ]
    assert wrong == []
