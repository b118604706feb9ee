"""Credentials of one command: found once, whatever it does; codes, helpers and logins."""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cloud.deploying import Deployer
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from tests.standins.models.refusal import Refused
from tests.standins.terminal import Terminal
from voicecore.aws.credentials import CredentialsUnusable
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import ExitCode
from voicecore.image.registry.credentials import RegistryLogins

REGION = "us-east-1"
ROLE = "role_arn = arn:aws:iam::123456789012:role/admin\n"
MFA = "mfa_serial = arn:aws:iam::123456789012:mfa/ada\n"
WORK = {"AWS_PROFILE": "work"}
Configure = Callable[..., None]


@pytest.fixture
def configure(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Configure:
    """Write ~/.aws/config and set variables, in place of credentials in the environment.

    KEYS stands for the lines with the keys of the stand-in's user.
    """
    user = aws.new_caller(temporary=False)
    keys = (
        f"aws_access_key_id = {user.access_key_id}\n"
        f"aws_secret_access_key = {user.secret_access_key}\n"
    )

    def configure(config: str, variables: Mapping[str, str] = WORK) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        path = tmp_path / "config"
        path.write_text(config.replace("KEYS", keys))
        for name, value in {"AWS_CONFIG_FILE": str(path), **variables}.items():
            monkeypatch.setenv(name, value)

    return configure


def helper(folder: Path, code: str) -> str:
    """Return the line of a profile whose helper runs this code."""
    script = folder / "helper.py"
    script.write_text(code)
    return f"credential_process = {sys.executable} {script}\n"


def test_failure_is_a_document(
    voicecore: Voicecore, deployer: Deployer, configure: Configure
) -> None:
    configure("[profile work]\ncredential_process = /no/such/helper\n")
    failed = voicecore("status", "--json", cwd=deployer.root)
    assert failed.code == ExitCode.AWS_REFUSED
    assert "credential_process of AWS profile 'work'" in failed.json["error"]["message"]
    assert failed.json["error"]["hint"].endswith("Then run:\nvoicecore status")


def test_profile_without_a_region_works(
    voicecore: Voicecore,
    deployer: Deployer,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(f"[profile base]\nKEYS[profile work]\nsource_profile = base\n{ROLE}")
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert voicecore("status", cwd=deployer.root).code == ExitCode.OK


def test_one_command_runs_the_helper_once(configure: Configure, aws: Aws, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    user = aws.new_caller(temporary=False)
    document = {
        "Version": 1,
        "AccessKeyId": user.access_key_id,
        "SecretAccessKey": user.secret_access_key,
    }
    code = f"open({str(runs)!r}, 'a').write('.')\nprint('''{json.dumps(document)}''')\n"
    configure(f"[profile work]\n{helper(tmp_path, code)}")
    login = AwsLogin()
    aws_here = login.connect(REGION)
    fetch = RegistryLogins(login).source_for(f"{aws_here.account}.dkr.ecr.eu-west-1.amazonaws.com")
    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert aws.journal.find("ecr:GetAuthorizationToken")
    assert runs.read_text() == "."


def test_helpers_output_is_never_shown(configure: Configure, tmp_path: Path) -> None:
    configure(f"[profile work]\n{helper(tmp_path, 'print(dict(secret=1))')}")
    with pytest.raises(CredentialsUnusable) as raised:
        AwsLogin().open(REGION)
    assert "secret" not in f"{raised.value} {raised.value.advice}"


def test_mfa_code_is_asked_for_once(configure: Configure, deployer: Deployer, aws: Aws) -> None:
    configure(f"[profile base]\nKEYS[profile work]\nsource_profile = base\n{MFA}{ROLE}")
    settings = deployer.root / "voicecore.toml"
    settings.write_text(settings.read_text() + '\n[stages.prod]\nregion = "us-west-2"\n')
    argv = [sys.executable, "-m", "voicecore", "status"]
    with Terminal.running(argv, deployer.root, {"PATH": os.environ["PATH"]}) as terminal:
        terminal.shows("Enter MFA code for arn:aws:iam::123456789012:mfa/ada")
        terminal.types("123 456")
        terminal.presses("Enter")
        terminal.shows("The code has six digits")
        terminal.types("123456")
        terminal.presses("Enter")
        terminal.shows("prod")
        assert terminal.ends() == ExitCode.OK
        assert terminal.screen().count("MFA") == 1
    assert len(aws.journal.find("sts:AssumeRole")) == 1
    with Terminal.running(argv, deployer.root, {"PATH": os.environ["PATH"]}) as terminal:
        terminal.shows("Enter MFA code")
        terminal.types("123456")
        terminal.presses("Enter")
        terminal.shows("rejects the MFA code", "works once")
        assert terminal.ends() == ExitCode.AWS_REFUSED


def test_worker_thread_asks_for_no_mfa_code(configure: Configure) -> None:
    configure(f"[profile base]\nKEYS[profile work]\nsource_profile = base\n{MFA}{ROLE}")
    raised: list[BaseException] = []

    def work() -> None:
        try:
            AwsLogin(can_ask=True).open(REGION)
        except CredentialsUnusable as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "needs the code of an MFA device" in str(raised[0])


def test_login_of_aws_login_is_used_and_passed_on(
    configure: Configure, voicecore: Voicecore, deployer: Deployer, aws: Aws, tmp_path: Path
) -> None:
    user, name = aws.new_caller(), "arn:aws:iam::123456789012:user/ada"
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    token = {
        "accessToken": {
            "accessKeyId": user.access_key_id,
            "secretAccessKey": user.secret_access_key,
            "sessionToken": user.session_token,
            "accountId": user.account,
            "expiresAt": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        },
        "refreshToken": "-",
        "dpopKey": key.decode(),
        "clientId": "arn:aws:signin:::devtools/same-device",
    }
    cache = tmp_path / "logins"
    cache.mkdir()
    (cache / f"{hashlib.sha256(name.encode()).hexdigest()}.json").write_text(json.dumps(token))
    variables = {**WORK, "AWS_LOGIN_CACHE_DIRECTORY": str(cache)}
    configure(f"[profile work]\nlogin_session = {name}\n", variables)
    assert voicecore("status", cwd=deployer.root).code == ExitCode.OK
    login = AwsLogin()
    login.open(REGION)
    assert login.for_child()["AWS_SESSION_TOKEN"] == user.session_token
    configure("[profile work]\nKEYS")
    assert AwsLogin().for_child() == {}


def test_region_that_the_account_has_not_enabled(
    voicecore: Voicecore, deployer: Deployer, aws: Aws
) -> None:
    invalid = "The security token included in the request is invalid."
    refused = Refused("InvalidClientTokenId", invalid, 403)
    aws.faults.fail("sts:GetCallerIdentity", refused, times=1)
    failed = voicecore("status", "--region", "ap-southeast-5", cwd=deployer.root)
    assert failed.code == ExitCode.AWS_REFUSED
    assert "aws account enable-region --region-name ap-southeast-5" in failed.stderr
    aws.faults.fail("sts:GetCallerIdentity", refused, times=None)
    failed = voicecore("status", cwd=deployer.root)
    assert "rejects these credentials" in failed.stderr
