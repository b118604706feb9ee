"""What an agent leaves out is missed by nothing that is left in, and named when it is missed."""

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

from tests.generated.projects import ENVIRONMENT, KINDS, PAIR, only, run

IMPORT_ALL = Path(__file__).with_name("import_all.py")

# The cascade with other services has all that the plain one has; the offline agent speaks instead.
WIDEST = [kind for kind in [*KINDS, PAIR] if kind.chosen or kind.pipeline == "nova-sonic"]
OFFLINE = [kind for kind in KINDS if kind.pipeline == "offline"]
NOVA_SONIC = [kind for kind in KINDS if kind.pipeline == "nova-sonic"]


@pytest.fixture(scope="session")
def slimmed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Installs a project's locked packages as the image has them, but for this machine."""

    @cache
    def made(project: Path) -> Path:
        folder = tmp_path_factory.mktemp("packages") / "slim"
        agent = project / "agent"
        install(agent, folder, "copy")  # prune.py changes it
        run(agent, str(agent / ".venv/bin/python"), "internal/prune.py", "packages", str(folder))
        return folder

    return made


def install(agent: Path, folder: Path, how: str) -> None:
    python = str(agent / ".venv/bin/python")
    wanted = str(folder.with_suffix(".txt"))
    run(agent, uv.find_uv_bin(), "export", "-q", "--frozen", "--no-dev", "-o", wanted)
    options = ("--python", python, "--no-deps", "--link-mode", how, "--target", str(folder))
    run(agent, uv.find_uv_bin(), "pip", "install", "-q", *options, "-r", wanted)


def left_out(agent: Path) -> set[str]:
    """The packages that pyproject.toml lists."""
    settings = tomllib.loads((agent / "pyproject.toml").read_text("utf-8"))
    return set(settings["tool"]["uv"]["exclude-dependencies"])


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Installs all that a project would have if it left out nothing."""

    @cache
    def made(project: Path) -> Path:
        folder = tmp_path_factory.mktemp("packages")
        agent = folder / "agent"
        shutil.copytree(project / "agent", agent, symlinks=True)
        path = agent / "pyproject.toml"
        text = re.sub(r"(?s)exclude-dependencies = \[.*?\n\]\n", "", path.read_text("utf-8"))
        path.write_text(text, "utf-8")
        run(agent, uv.find_uv_bin(), "lock", "--quiet")
        install(agent, folder / "whole", "hardlink")
        return folder / "whole"

    return made


def locked(agent: Path) -> set[str]:
    """The packages in uv.lock."""
    lock = tomllib.loads((agent / "uv.lock").read_text("utf-8"))
    return {package["name"] for package in lock["package"]}


def failed_imports(project: Path, packages: Path, *named: str) -> dict[str, list[str]]:
    """Imports modules in `packages`, or all; for each that fails, what it lacks, or its error."""
    python = project / "agent/.venv/bin/python"
    argv = [python, "-S", IMPORT_ALL, packages, *named]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=packages.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@only(WIDEST)
def test_all_that_is_left_in_can_be_imported_unless_it_lacks_what_is_on_the_list(
    project: Path, slimmed: Callable[[Path], Path], whole: Callable[[Path], Path]
) -> None:
    failed = failed_imports(project, slimmed(project))
    assert failed
    anyway = failed_imports(project, whole(project), *failed)
    # What is on the list takes with it what only it asks for.
    gone = locked(whole(project).parent / "agent") - locked(project / "agent")
    assert gone > left_out(project / "agent")
    unexplained = {
        module: lacks
        for module, lacks in failed.items()
        if module not in anyway and not gone & {name.split(".")[0] for name in lacks}
    }
    assert not unexplained


@only(OFFLINE)
def test_the_agents_own_tests_need_no_more_than_what_is_left_in(
    project: Path, slimmed: Callable[[Path], Path]
) -> None:
    """A spoken question, and a spoken answer."""
    # A package that is found in this folder has its modules only there.
    python = str(project / "agent/.venv/bin/python")
    packages = f"PYTHONPATH={slimmed(project)}"
    run(project, "env", packages, python, "-m", "pytest", "-q")


@only(NOVA_SONIC)
def test_who_needs_a_package_that_is_left_out_is_told_at_the_start(
    project: Path, tmp_path: Path
) -> None:
    agent = tmp_path / "agent"
    shutil.copytree(project / "agent", agent, symlinks=True)
    bot = agent / "bot.py"
    music = "from pipecat.audio.mixers.soundfile_mixer import SoundfileMixer"
    bot.write_text(bot.read_text("utf-8").replace("import Pipeline", f"import Pipeline\n{music}"))
    done = subprocess.run(
        [agent / ".venv/bin/python", "-m", "internal.app"],
        cwd=agent, env=ENVIRONMENT | {"PORT": "0"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'soundfile'" in done.stderr
    last = done.stderr.rstrip().splitlines()[-1]
    assert "agent/pyproject.toml excludes soundfile" in last
    assert "`uv lock --project agent`" in last


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
def test_who_needs_what_is_left_out_is_told_in_the_log(project: Path) -> None:
    agent = project / "agent"
    done = subprocess.run(
        [agent / ".venv/bin/python", "-c", PROGRAM],
        cwd=agent, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    messages = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    ends = [message.splitlines()[-1] for message in messages]
    assert len(ends) == 6
    assert all("excludes openai. To include it" in end for end in ends[:2])
    assert all("/opt/packages/model.onnx is not in the image" in end for end in ends[2:4])
    assert all(end == "ValueError: wrapped, as Pipecat does" for end in ends[4:])


@only([*KINDS, PAIR])
def test_uv_knows_the_list(project: Path) -> None:
    agent = project / "agent"
    lock = tomllib.loads((agent / "uv.lock").read_text("utf-8"))
    assert set(lock["manifest"]["excludes"]) == left_out(agent)
    assert not left_out(agent) & locked(agent)
    assert "numba" in left_out(agent)
