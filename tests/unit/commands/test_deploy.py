"""`voicecore deploy` refuses options before it asks AWS, and exports a stage without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode


@pytest.fixture
def root(voicecore: Voicecore, tmp_path: Path) -> Path:
    created = voicecore("init", "line", "--pipeline", "nova-sonic", "--yes")
    assert created.code == ExitCode.OK, created.stderr
    return tmp_path / "line"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--skip-check regoin", "--skip-check: 'regoin' is not a preflight check"),
        ("--ha", "--ha needs a network created by voicecore"),
        ("--transport daily", "voicecore add daily"),
        ("--transport pigeon", "pigeon"),
        ("--region nowhere-1", "nowhere-1"),
        ("--format json", "--format json is for --export."),
        ("--stage prod", "prod"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    voicecore: Voicecore, root: Path, flags: str, message: str
) -> None:
    result = voicecore("deploy", *flags.split(), "--yes", cwd=root)
    assert result.code in (ExitCode.USAGE, ExitCode.BAD_PROJECT), result.stderr
    assert message in result.stderr


def test_ha_is_refused_where_endpoints_replace_the_nat_gateway(
    voicecore: Voicecore, root: Path
) -> None:
    toml = root / "voicecore.toml"
    toml.write_text(f'network = "vpc"\n{toml.read_text()}\n[vpc]\nendpoints = true\n')
    refused = voicecore("deploy", "--ha", "--yes", cwd=root)
    assert "[vpc] endpoints = true allows none" in refused.stderr


@pytest.mark.parametrize(("form", "suffix"), [("yaml", ".yaml"), ("json", ".json")])
def test_stage_is_exported_without_aws(
    voicecore: Voicecore, root: Path, form: str, suffix: str
) -> None:
    flags = ("--export", "template", "--format", form, "--server", "--region", "us-west-2")
    exported = voicecore("deploy", *flags, cwd=root)
    assert exported.code == ExitCode.OK, exported.stderr
    files = [Path(line) for line in exported.stdout.splitlines()]
    assert files and all((root / file).exists() for file in files)
    assert any(file.suffix == suffix for file in files)
    for file in files:
        if file.suffix == ".json":
            json.loads((root / file).read_text())
