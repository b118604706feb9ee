"""The connection of builds in CodeBuild to the account of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.image.codebuilds import ACCOUNT, KEYS, REGION, REPOSITORY
from tests.standins.image.codebuild import CodeBuild

CONNECT = """
import sys
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import VoicecoreError
from voicecore.image.builders.codebuild import connect
from voicecore.image.registry.reference import parse_reference
try:
    aws = connect(parse_reference(sys.argv[1]), AwsLogin())
    print(aws.account, aws.partition, aws.region, aws.client("codebuild").meta.region_name)
except VoicecoreError as error:
    print(type(error).__name__, error.message, error.hint)
"""


def connect(repository: str, tmp_path: Path, **env: str) -> str:
    """Return what a new process prints, which has only the credentials in `env`."""
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, repository],
        env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_connect_uses_our_account_in_repositorys_region(service: CodeBuild, tmp_path: Path) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
        "AWS_REGION": "us-east-2",
    }
    found = connect(REPOSITORY, tmp_path, AWS_ENDPOINT_URL=service.moto, **keys)
    assert found == f"{ACCOUNT} aws {REGION} {REGION}"


def test_connect_without_credentials_says_how_to_log_in(tmp_path: Path) -> None:
    output = connect(REPOSITORY, tmp_path)
    assert output.startswith("NoAwsCredentials No AWS credentials were found.")
    assert "aws configure sso" in output
    output = connect(REPOSITORY, tmp_path, AWS_PROFILE="unknown")
    assert "unknown" in output


def test_connect_refuses_repository_outside_ecr(tmp_path: Path) -> None:
    output = connect("ghcr.io/me/agent:1", tmp_path)
    assert output.startswith(
        "NotEcr CodeBuild pushes only to Amazon ECR; ghcr.io/me/agent is not an ECR repository."
    )
    assert "voicecore build --push ghcr.io/me/agent" in output
