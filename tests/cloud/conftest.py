"""A project and an AWS to deploy it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.conftest import Voicecore
from tests.standins.aws import NONE, Aws, Durations, aws_standin


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out what takes minutes, unless `-m exhaustive` asks for it."""
    exhaustive = collection_path.name == "test_every_death.py"
    return (exhaustive and config.getoption("markexpr") != "exhaustive") or None


@pytest.fixture
def durations() -> Durations:
    """How long things take in AWS: no time."""
    return NONE


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, durations: Durations) -> Iterator[Aws]:
    """An AWS that boto3 in this process takes for the real one."""
    with aws_standin(durations=durations) as standin:
        for name, value in standin.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield standin


@pytest.fixture
def deployer(voicecore: Voicecore, tmp_path: Path) -> Deployer:
    """Of a project with Nova Sonic in AgentCore's own network."""
    made = voicecore("init", "line", "--pipeline", "nova-sonic", "--yes", cwd=tmp_path)
    assert made.code == 0, made.stderr
    return Deployer(tmp_path / "line")


@pytest.fixture
def vpc(deployer: Deployer) -> Deployer:
    """The same in a network of its own."""
    path = deployer.root / "voicecore.toml"
    path.write_text(f'network = "vpc"\n{path.read_text()}')
    return deployer
