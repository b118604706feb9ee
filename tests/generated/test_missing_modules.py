"""Packages that an agent excludes: nothing else needs them, and errors name them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import uv

from tests.generated.projects import ENVIRONMENT, KINDS, PAIR, agent_tests_of, only, run

IMPORT_ALL = Path(__file__).with_name("import_all.py")

# These two have the packages and exclusions of the other pipelines, too. The offline agent runs its
# own tests on its packages instead.
WIDEST = [*(kind for kind in KINDS if kind.services), PAIR]
OFFLINE, OFFLINE_WEBRTC = (kind for kind in KINDS if kind.pipeline == "offline")
NOVA_SONIC = [kind for kind in KINDS if kind.pipeline == "nova-sonic"]


@pytest.fixture(scope="session")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that installs the packages of the image, for this machine."""

    @cache
    def install_pruned(project: Path) -> Path:
        folder = tmp_path_factory.mktemp("packages") / "pruned"
        agent = project / "agent"
        install(agent, folder, "copy")  # prune.py changes it
        run(agent, str(agent / ".venv/bin/python"), "internal/prune.py", "packages", str(folder))
        return folder

    return install_pruned


def install(agent: Path, folder: Path, how: str) -> None:
    python = str(agent / ".venv/bin/python")
    requirements = str(folder.with_suffix(".txt"))
    run(agent, uv.find_uv_bin(), "export", "-q", "--frozen", "--no-dev", "-o", requirements)
    options = ("--python", python, "--no-deps", "--link-mode", how, "--target", str(folder))
    run(agent, uv.find_uv_bin(), "pip", "install", "-q", *options, "-r", requirements)


def excluded(agent: Path) -> set[str]:
    """Return the packages that pyproject.toml excludes."""
    settings = tomllib.loads((agent / "pyproject.toml").read_text("utf-8"))
    return set(settings["tool"]["uv"]["exclude-dependencies"])


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that installs a project's packages without any exclusion."""

    @cache
    def install_complete(project: Path) -> Path:
        folder = tmp_path_factory.mktemp("packages")
        agent = folder / "agent"
        shutil.copytree(project / "agent", agent, symlinks=True)
        path = agent / "pyproject.toml"
        text = re.sub(r"(?s)exclude-dependencies = \[.*?\n\]\n", "", path.read_text("utf-8"))
        path.write_text(text, "utf-8")
        run(agent, uv.find_uv_bin(), "lock", "--quiet")
        install(agent, folder / "complete", "hardlink")
        return folder / "complete"

    return install_complete


def locked(agent: Path) -> set[str]:
    """Return the packages in uv.lock."""
    lock = tomllib.loads((agent / "uv.lock").read_text("utf-8"))
    return {package["name"] for package in lock["package"]}


def failed_imports(project: Path, packages: Path, *names: str) -> dict[str, list[str]]:
    """Import modules in `packages`; return what each failed one lacks, or its error."""
    python = project / "agent/.venv/bin/python"
    argv = [python, "-S", IMPORT_ALL, packages, *names]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=packages.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@only(WIDEST)
def test_installed_modules_lack_only_excluded_packages(
    project: Path, pruned: Callable[[Path], Path], complete: Callable[[Path], Path]
) -> None:
    failed = failed_imports(project, pruned(project))
    assert failed
    always_failing = failed_imports(project, complete(project), *failed)
    # An excluded package's own dependencies are missing too.
    missing = locked(complete(project).parent / "agent") - locked(project / "agent")
    assert missing > excluded(project / "agent")
    unexplained = {
        module: lacks
        for module, lacks in failed.items()
        if module not in always_failing and not missing & {name.split(".")[0] for name in lacks}
    }
    assert not unexplained


@only([OFFLINE])
def test_tests_of_the_agent_need_no_excluded_package(
    project: Path, pruned: Callable[[Path], Path]
) -> None:
    """The tests include a spoken question and answer."""
    run_tests(project, pruned(project))


@only([OFFLINE_WEBRTC])
def test_tests_of_webrtc_need_no_excluded_package(
    project: Path, pruned: Callable[[Path], Path]
) -> None:
    run_tests(project, pruned(project), *agent_tests_of(OFFLINE_WEBRTC))


def run_tests(project: Path, packages: Path, *files: str) -> None:
    # Python looks for a package's modules only where it found the package.
    python = str(project / "agent/.venv/bin/python")
    run(project, "env", f"PYTHONPATH={packages}", python, "-m", "pytest", "-q", *files)


@only(NOVA_SONIC)
def test_agent_names_an_excluded_package_at_its_start(project: Path, tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    shutil.copytree(project / "agent", agent, symlinks=True)
    bot = agent / "bot.py"
    needs_soundfile = "from pipecat.audio.mixers.soundfile_mixer import SoundfileMixer"
    bot.write_text(
        bot.read_text("utf-8").replace("import Pipeline", f"import Pipeline\n{needs_soundfile}")
    )
    done = subprocess.run(
        [agent / ".venv/bin/python", "-m", "internal.app"],
        cwd=agent, env=ENVIRONMENT | {"PORT": "0"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'soundfile'" in done.stderr
    last_line = done.stderr.rstrip().splitlines()[-1]
    assert "agent/pyproject.toml excludes soundfile" in last_line
    assert "`uv lock --project agent`" in last_line


PROGRAM = """
import logging
from internal import logs
from loguru import logger

logs.set_up()
for failing in ("import openai", "open('/opt/packages/model.onnx')", "import bots"):
    try:
        try:
            exec(failing)
        except Exception as error:
            raise ValueError("wrapped, as Pipecat does")
    except ValueError:
        logger.exception("in Pipecat")
        logging.getLogger("uvicorn").exception("in uvicorn")
"""


@only(NOVA_SONIC)
def test_log_names_excluded_packages_and_files(project: Path) -> None:
    agent = project / "agent"
    done = subprocess.run(
        [agent / ".venv/bin/python", "-c", PROGRAM],
        cwd=agent, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    messages = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    last_lines = [message.splitlines()[-1] for message in messages]
    assert len(last_lines) == 6
    assert all("excludes openai. To include it" in end for end in last_lines[:2])
    assert all("/opt/packages/model.onnx is not in the image" in end for end in last_lines[2:4])
    assert all(end == "ValueError: wrapped, as Pipecat does" for end in last_lines[4:])


@only([*KINDS, PAIR])
def test_lock_file_has_the_exclusions(project: Path) -> None:
    agent = project / "agent"
    lock = tomllib.loads((agent / "uv.lock").read_text("utf-8"))
    assert set(lock["manifest"]["excludes"]) == excluded(agent)
    assert not excluded(agent) & locked(agent)
    assert "numba" in excluded(agent)
