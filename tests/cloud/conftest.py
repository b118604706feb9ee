"""A project and an AWS to deploy it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.log_lines import following as following
from tests.cloud.log_lines import line as line
from tests.conftest import Voicecore
from tests.standins.aws import NONE, Aws, Durations, aws_standin


@pytest.fixture
def durations() -> Durations:
    """Durations of operations in AWS: none."""
    return NONE


@pytest.fixture
def home() -> str:
    """The region of boto3, and with it the partition of the account."""
    return "us-east-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, durations: Durations, home: str) -> Iterator[Aws]:
    """The stand-in of AWS, used by boto3 in this process."""
    with aws_standin(durations=durations, region=home) as standin:
        for name, value in standin.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield standin


@pytest.fixture
def deployer(voicecore: Voicecore, tmp_path: Path) -> Deployer:
    """A project with Nova Sonic, in AgentCore's own network."""
    created = voicecore("init", "line", "--pipeline", "nova-sonic", "--yes", cwd=tmp_path)
    assert created.code == 0, created.stderr
    return Deployer(tmp_path / "line")


@pytest.fixture
def vpc(deployer: Deployer) -> Deployer:
    """The same project, in a network created by voicecore."""
    path = deployer.root / "voicecore.toml"
    path.write_text(f'network = "vpc"\n{path.read_text()}')
    return deployer
