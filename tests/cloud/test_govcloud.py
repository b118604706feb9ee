"""An agent in GovCloud, whose accounts and ARNs are of another partition."""

from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

GOV = "us-gov-west-1"


@pytest.mark.parametrize("home", [GOV])
def test_agent_is_deployed_updated_and_destroyed(
    aws: Aws, voicecore: Voicecore, tmp_path: Path
) -> None:
    before = aws.inventory()
    project = tmp_path / "line"
    options = ("--pipeline", "offline", "--region", GOV, "--yes")
    created = voicecore("init", "line", *options, cwd=tmp_path)
    assert created.code == ExitCode.OK, created.stderr
    settings = project / "voicecore.toml"
    settings.write_text(settings.read_text() + 'network = "vpc"\n')
    deployer = Deployer(project)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    arns = {item.arn for item in aws.inventory() - before if item.arn}
    assert {arn.split(":")[1] for arn in arns} == {"aws-us-gov"}
    assert "nothing was changed" in deployer.deploy().stderr
    destroyed = deployer.destroy(network=True)
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert aws.inventory() == before
