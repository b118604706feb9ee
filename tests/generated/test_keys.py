"""An agent in AWS reads its keys from Secrets Manager, and reports why if it cannot."""

from __future__ import annotations

import json
import subprocess
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated.projects import ENVIRONMENT, KINDS, only, running_agent
from tests.standins.aws import Aws, aws_standin
from voicecore.cloud.stacks.env_split import SECRET_VARIABLE

KEYS = {"DEEPGRAM_API_KEY": "from-the-secret", "CARTESIA_API_KEY": "too"}
# The only kind that cannot start without keys.
with_keys = only([kind for kind in KINDS if kind.services])


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_standin() as standin:
        yield standin


def create_secret(aws: Aws, name: str, value: str | None) -> str:
    contents = {"SecretString": value} if value is not None else {}
    return aws.client("secretsmanager").create_secret(Name=name, **contents)["ARN"]


def environment(aws: Aws, arn: str) -> dict[str, str]:
    """Return the environment that AgentCore gives the container."""
    without_keys = {name: value for name, value in ENVIRONMENT.items() if name not in KEYS}
    return without_keys | aws.environment | {SECRET_VARIABLE: arn}


@with_keys
def test_agent_answers_ping_while_it_reads_keys(aws: Aws, project: Path, tmp_path: Path) -> None:
    aws.faults.slow("secretsmanager:GetSecretValue", 2)
    env = environment(aws, create_secret(aws, uuid.uuid4().hex, json.dumps(KEYS)))
    env |= dict.fromkeys(KEYS, "")
    with running_agent(project / "agent", tmp_path / "log", env) as running:
        assert [line["event"] for line in running.lines()] == []  # yet the port is open
        running.wait_for("ready")
    assert "from-the-secret" not in (tmp_path / "log").read_text()
    aws.faults.clear()


@with_keys
def test_agent_on_v2_reads_keys_when_the_session_starts(
    aws: Aws, project: Path, tmp_path: Path
) -> None:
    """A session that cannot read them ends, like an agent on V1 that cannot start."""
    env = environment(aws, create_secret(aws, uuid.uuid4().hex, json.dumps(KEYS)))
    env |= {"AGENTCORE_PLATFORM": "v2"}
    with running_agent(project / "agent", tmp_path / "log", env) as running:
        assert running.lines()[-1]["event"] == "ready"
        aws.faults.deny("secretsmanager:GetSecretValue")
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{running.port}/invocations", b"{}")
        assert running.process.wait(60) == 1
    aws.faults.clear()
    log = (tmp_path / "log").read_text()
    assert "not authorized to perform: secretsmanager:GetSecretValue" in log.splitlines()[-1]
    assert "from-the-secret" not in log


@with_keys
@pytest.mark.parametrize("reader", ["read", "stand_in"])
@pytest.mark.parametrize(
    ("value", "denied", "message"),
    [
        (json.dumps(KEYS), True, "not authorized to perform: secretsmanager:GetSecretValue"),
        (None, False, "ResourceNotFoundException"),
        ('["from-the-secret"]', False, "is not a JSON object of strings."),
        ('{"from-the-secret": 1}', False, "is not a JSON object of strings."),
        ("from-the-secret", False, "is not a JSON object of strings."),
    ],
)
def test_agent_reports_why_it_cannot_read_keys(
    aws: Aws, project: Path, value: str | None, denied: bool, message: str, reader: str
) -> None:
    arn = create_secret(aws, f"bad-{uuid.uuid4()}", value)
    if denied:
        aws.faults.deny("secretsmanager:GetSecretValue")
    argv = [project / "agent/.venv/bin/python", "-c", f"from internal import keys; keys.{reader}()"]
    env = environment(aws, arn)
    done = subprocess.run(argv, cwd=project / "agent", env=env, capture_output=True, text=True)
    aws.faults.clear()
    assert done.returncode == 1
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith(f"internal.keys.KeysUnreadable: AGENT_SECRET_ARN, {arn}, ")
    assert message in last_line
    assert "from-the-secret" not in done.stderr
