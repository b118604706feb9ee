"""An agent in AWS finds its keys in Secrets Manager, and says why when it does not."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated.projects import ENVIRONMENT, KINDS, agent, only
from tests.standins.aws import Aws, aws_standin
from voicecore.cloud.stacks.env_split import SECRET_VARIABLE

KEYS = {"DEEPGRAM_API_KEY": "from-the-secret", "CARTESIA_API_KEY": "too"}
# The one that cannot start without keys.
with_keys = only([kind for kind in KINDS if kind.chosen])


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_standin() as standin:
        yield standin


def secret(aws: Aws, name: str, value: str | None) -> str:
    given = {"SecretString": value} if value is not None else {}
    return aws.client("secretsmanager").create_secret(Name=name, **given)["ARN"]


def environment(aws: Aws, arn: str) -> dict[str, str]:
    """As AgentCore starts the container."""
    without = {name: value for name, value in ENVIRONMENT.items() if name not in KEYS}
    return without | aws.environment | {SECRET_VARIABLE: arn}


@with_keys
def test_keys_are_read_behind_ping(aws: Aws, project: Path, tmp_path: Path) -> None:
    aws.faults.slow("secretsmanager:GetSecretValue", 2)
    env = environment(aws, secret(aws, uuid.uuid4().hex, json.dumps(KEYS)))
    with agent(project / "agent", tmp_path / "log", env | dict.fromkeys(KEYS, "")) as running:
        assert [line["event"] for line in running.written()] == []  # and yet the port is open
        running.until("ready")
    assert "from-the-secret" not in (tmp_path / "log").read_text()
    aws.faults.clear()


@with_keys
@pytest.mark.parametrize(
    ("value", "denied", "told"),
    [
        (json.dumps(KEYS), True, "not authorized to perform: secretsmanager:GetSecretValue"),
        (None, False, "ResourceNotFoundException"),
        ('["from-the-secret"]', False, "is not a JSON object of strings."),
        ('{"from-the-secret": 1}', False, "is not a JSON object of strings."),
        ("from-the-secret", False, "is not a JSON object of strings."),
    ],
)
def test_keys_that_cannot_be_read(
    aws: Aws, project: Path, value: str | None, denied: bool, told: str
) -> None:
    arn = secret(aws, f"bad-{uuid.uuid4()}", value)
    if denied:
        aws.faults.deny("secretsmanager:GetSecretValue")
    argv = [project / "agent/.venv/bin/python", "-c", "from internal import keys; keys.read()"]
    env = environment(aws, arn)
    done = subprocess.run(argv, cwd=project / "agent", env=env, capture_output=True, text=True)
    aws.faults.clear()
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"internal.keys.KeysUnreadable: AGENT_SECRET_ARN, {arn}, ")
    assert told in last
    assert "from-the-secret" not in done.stderr
