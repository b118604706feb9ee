"""Logins to registries: ECR's from AWS, all others from Docker's configuration."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from voicecore.aws.errors import AwsRefused
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import ExitCode
from voicecore.image.registry.credentials import (
    CredentialHelperFailed,
    EcrHost,
    RegistryLogin,
    RegistryLogins,
    ecr_host,
    login_source,
)

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@dataclass
class FakeEcrApi:
    """ECR's API: its answer, and the requested operations."""

    status: int = 200
    document: dict[str, object] = field(default_factory=dict[str, object])
    operations: list[str] = field(default_factory=list[str])


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEcrApi]:
    fake = FakeEcrApi()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            fake.operations.append(self.headers["X-Amz-Target"].partition(".")[2])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(fake.document).encode()
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
    ],
)
def test_ecr_host_parses_ecr_names(host: str, region: str) -> None:
    assert ecr_host(host) == EcrHost("123456789012", region)


@pytest.mark.parametrize("host", ["public.ecr.aws", "ghcr.io", "docker.io", f"{HOST}.evil.com"])
def test_ecr_host_rejects_other_registries(host: str) -> None:
    assert ecr_host(host) is None


def test_ecr_source_requests_token_on_each_call(api: FakeEcrApi) -> None:
    token = base64.b64encode(b"AWS:a-token").decode()
    api.document = {"authorizationData": [{"authorizationToken": token}]}
    source = login_source(HOST, AwsLogin())
    assert source() == source() == RegistryLogin("AWS", "a-token")
    assert api.operations == ["GetAuthorizationToken"] * 2


def test_logins_are_shared_until_refused(api: FakeEcrApi) -> None:
    token = base64.b64encode(b"AWS:a-token").decode()
    api.document = {"authorizationData": [{"authorizationToken": token}]}
    logins = RegistryLogins(AwsLogin())
    lookup, push = logins.source_for(HOST), logins.source_for(HOST)
    assert lookup() == push() == RegistryLogin("AWS", "a-token")
    assert len(api.operations) == 1
    push()
    assert len(api.operations) == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ExpiredTokenException", "have expired"),
        ("UnrecognizedClientException", "AWS rejects these credentials"),
        ("AccessDeniedException", "not allowed to do ecr:GetAuthorizationToken"),
        ("ServerException", "AWS refused GetAuthorizationToken"),
    ],
)
def test_error_of_ecr_api_is_explained(api: FakeEcrApi, code: str, message: str) -> None:
    api.status, api.document = 400, {"__type": code, "message": "because"}
    with pytest.raises(AwsRefused, match=message) as caught:
        login_source(HOST, AwsLogin())()
    assert caught.value.exit_code == ExitCode.AWS_REFUSED
    if code == "AccessDeniedException":
        assert "ecr:GetAuthorizationToken" in (caught.value.hint or "")


def test_missing_aws_credentials_are_reported(
    api: FakeEcrApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsRefused, match="No AWS credentials"):
        login_source(HOST, AwsLogin())()
    assert not api.operations


def test_unknown_profile_is_reported(api: FakeEcrApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "unknown")
    with pytest.raises(AwsRefused, match="unknown"):
        login_source(HOST, AwsLogin())()
    assert not api.operations


# ---- Docker's logins


@pytest.fixture
def docker_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_login_of_docker_config_is_used(docker_config: Path) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": {"auth": auth}}}))
    assert login_source("ghcr.io", AwsLogin())() == RegistryLogin("me", "secret")


def test_docker_hub_login_has_its_own_key(docker_config: Path) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    config = {"auths": {"https://index.docker.io/v1/": {"auth": auth}}}
    docker_config.write_text(json.dumps(config))
    assert login_source("docker.io", AwsLogin())() == RegistryLogin("me", "secret")


def test_no_login_returns_none(docker_config: Path) -> None:
    assert login_source("ghcr.io", AwsLogin())() is None
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": {}}}))
    assert login_source("ghcr.io", AwsLogin())() is None


def test_identity_token_is_read(docker_config: Path) -> None:
    entry = {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "refresh"}
    docker_config.write_text(json.dumps({"auths": {"x.azurecr.io": entry}}))
    assert login_source("x.azurecr.io", AwsLogin())() == RegistryLogin("", "", "refresh")


def test_credential_helper_is_used(
    docker_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text(
        "#!/bin/sh\nread host\n"
        '[ "$host" = ghcr.io ] || { echo credentials not found in native keychain; exit 1; }\n'
        'echo \'{"Username": "me", "Secret": "kept"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker_config.write_text(json.dumps({"credsStore": "vault"}))
    assert login_source("ghcr.io", AwsLogin())() == RegistryLogin("me", "kept")
    assert login_source("quay.io", AwsLogin())() is None


def test_missing_credential_helper_is_reported(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"credsStore": "long-gone"}))
    with pytest.raises(CredentialHelperFailed, match="docker-credential-long-gone"):
        login_source("ghcr.io", AwsLogin())()


def test_invalid_docker_config_is_reported(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": "me"}}))
    with pytest.raises(CredentialHelperFailed, match=r"ghcr\.io"):
        login_source("ghcr.io", AwsLogin())()
