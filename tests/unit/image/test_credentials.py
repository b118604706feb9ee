"""Logins of registries: ECR's from AWS, all others from what Docker's login has kept."""

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
from voicecore.console.errors import ExitCode
from voicecore.image.registry.credentials import (
    EcrHost,
    HelperFailed,
    Login,
    Logins,
    ecr_host,
    source_for,
)

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@dataclass
class Api:
    """ECR's API: what it answers next, and how often it was asked."""

    status: int = 200
    document: dict[str, object] = field(default_factory=dict[str, object])
    asked: list[str] = field(default_factory=list[str])


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    told = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.asked.append(self.headers["X-Amz-Target"].partition(".")[2])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(told.document).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    yield told
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
def test_ecr_is_known_by_its_name(host: str, region: str) -> None:
    assert ecr_host(host) == EcrHost("123456789012", region)


@pytest.mark.parametrize("host", ["public.ecr.aws", "ghcr.io", "docker.io", f"{HOST}.evil.com"])
def test_others_are_not_ecr(host: str) -> None:
    assert ecr_host(host) is None


def test_ecr_gives_a_token_anew_each_time(api: Api) -> None:
    token = base64.b64encode(b"AWS:a-token").decode()
    api.document = {"authorizationData": [{"authorizationToken": token}]}
    source = source_for(HOST)
    assert source() == source() == Login("AWS", "a-token")
    assert api.asked == ["GetAuthorizationToken"] * 2


def test_one_command_logs_in_once_and_anew_where_it_is_refused(api: Api) -> None:
    token = base64.b64encode(b"AWS:a-token").decode()
    api.document = {"authorizationData": [{"authorizationToken": token}]}
    logins = Logins()
    look, push = logins.of(HOST), logins.of(HOST)
    assert look() == push() == Login("AWS", "a-token")
    assert len(api.asked) == 1
    push()
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredTokenException", "have expired"),
        ("UnrecognizedClientException", "AWS rejects these credentials"),
        ("AccessDeniedException", "not allowed to do ecr:GetAuthorizationToken"),
        ("ServerException", "AWS refused GetAuthorizationToken"),
    ],
)
def test_aws_refuses(api: Api, code: str, said: str) -> None:
    api.status, api.document = 400, {"__type": code, "message": "because"}
    with pytest.raises(AwsRefused, match=said) as caught:
        source_for(HOST)()
    assert caught.value.exit_code == ExitCode.AWS_REFUSED
    if code == "AccessDeniedException":
        assert "ecr:GetAuthorizationToken" in (caught.value.hint or "")


def test_there_are_no_aws_credentials(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsRefused, match="No AWS credentials"):
        source_for(HOST)()
    assert not api.asked


def test_a_profile_that_is_none(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AwsRefused, match="nobody"):
        source_for(HOST)()
    assert not api.asked


# ---- Docker's


@pytest.fixture
def docker_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_dockers_login_is_used(docker_config: Path) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": {"auth": auth}}}))
    assert source_for("ghcr.io")() == Login("me", "secret")


def test_docker_hubs_login_has_a_name_of_its_own(docker_config: Path) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    config = {"auths": {"https://index.docker.io/v1/": {"auth": auth}}}
    docker_config.write_text(json.dumps(config))
    assert source_for("docker.io")() == Login("me", "secret")


def test_nobody_has_logged_in(docker_config: Path) -> None:
    assert source_for("ghcr.io")() is None
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": {}}}))
    assert source_for("ghcr.io")() is None


def test_an_identity_token(docker_config: Path) -> None:
    entry = {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "refresh"}
    docker_config.write_text(json.dumps({"auths": {"x.azurecr.io": entry}}))
    assert source_for("x.azurecr.io")() == Login("", "", "refresh")


def test_a_credential_helper_is_asked(
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
    assert source_for("ghcr.io")() == Login("me", "kept")
    assert source_for("quay.io")() is None


def test_a_credential_helper_that_is_gone(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"credsStore": "long-gone"}))
    with pytest.raises(HelperFailed, match="docker-credential-long-gone"):
        source_for("ghcr.io")()


def test_a_config_that_makes_no_sense(docker_config: Path) -> None:
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": "me"}}))
    with pytest.raises(HelperFailed, match=r"ghcr\.io"):
        source_for("ghcr.io")()
