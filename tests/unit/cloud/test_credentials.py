"""AWS credentials as people have them: profiles, helpers, roles and logins that fail.

botocore's real chain reads real config files, and runs real helpers.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from voicecore.aws.errors import AwsRefused, translated_errors
from voicecore.aws.login import AwsLogin

KEYS = "aws_access_key_id = AKIA\naws_secret_access_key = secret\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/admin\n"
MFA = "mfa_serial = arn:aws:iam::123456789012:mfa/ada\n"
WORK = {"AWS_PROFILE": "work"}
SSO = "sso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n"
SSO_ROLE = "sso_account_id = 123456789012\nsso_role_name = dev\n"
SHOW_HELPER = "aws configure get credential_process --profile work"
SHOW_PROFILE = "aws configure list --profile work"


@pytest.mark.parametrize(
    ("config", "variables", "texts"),
    [
        # AWS_PROFILE
        (f"[profile work]\n{KEYS}", {"AWS_PROFILE": "wrok"}, ("export AWS_PROFILE=work",)),
        (f"[profile work]\n{KEYS}", {"AWS_DEFAULT_PROFILE": "prod"}, ("'prod'", "profiles: work.")),
        ("[profile work\n", WORK, ("Unable to parse", "export AWS_CONFIG_FILE=")),
        # credential_process
        ("[profile work]\ncredential_process = /no/such/helper\n", WORK,
         ("/no/such/helper: No such file", SHOW_HELPER)),
        ("[profile work]\ncredential_process = /etc/passwd\n", WORK, ("Permission denied",)),
        ("[profile work]\ncredential_process = echo hello\n", WORK, ("no JSON.", SHOW_HELPER)),
        ("[profile work]\ncredential_process = echo '[]'\n", WORK, ("no JSON object",)),
        ("[profile work]\ncredential_process = sh -c 'echo locked >&2; exit 3'\n", WORK,
         ("failed: locked.", SHOW_HELPER)),
        ("[profile work]\ncredential_process = sh -c 'oops\n", WORK, ("No closing quotation",)),
        ('[profile work]\ncredential_process = echo \'{"Version": 1, "AccessKeyId": "a", '
         '"SecretAccessKey": "b", "Expiration": "2020-01-01T00:00:00Z"}\'\n', WORK,
         ("still expired", SHOW_HELPER)),
        ("[profile base]\ncredential_process = /no/helper\n[profile work]\nsource_profile = base\n"
         + ROLE, WORK, ("credential_process of AWS profile 'base'", "/no/helper")),
        # logins of a person
        (f"[profile work]\n{SSO}{SSO_ROLE}", WORK, ("aws sso login --profile work",)),
        (f"[sso-session corp]\n{SSO}[profile work]\nsso_session = corp\n{SSO_ROLE}", WORK,
         ("Token for corp does not exist", "aws sso login --profile work")),
        (f"[profile base]\n{SSO}{SSO_ROLE}[profile work]\nsource_profile = base\n{ROLE}", WORK,
         ("aws sso login --profile base",)),
        (f"[profile work]\nsso_session = gone\n{SSO_ROLE}", WORK, ("does not exist", SHOW_PROFILE)),
        ("[profile work]\nlogin_session = arn:aws:iam::123456789012:user/ada\n", WORK,
         ("aws login --profile work",)),
        # roles
        (f"[profile base]\n{KEYS}[profile work]\nsource_profile = base\n{MFA}{ROLE}", WORK,
         ("needs the code of an MFA device",
          'eval "$(aws configure export-credentials --profile work --format env)"')),
        (f"[profile work]\nsource_profile = gone\n{ROLE}", WORK, ('"gone"', SHOW_PROFILE)),
        (f"[profile work]\n{ROLE}", WORK, ("source_profile or credential_source", SHOW_PROFILE)),
        (f"[profile base]\nsource_profile = work\n{ROLE}[profile work]\nsource_profile = base\n"
         + ROLE, WORK, ("Infinite loop", SHOW_PROFILE)),
        (f"[profile work]\ncredential_source = Environment\n{ROLE}", WORK,
         ("credential_source", SHOW_PROFILE)),
        # CI, containers, machines
        ("", {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/ci",
              "AWS_WEB_IDENTITY_TOKEN_FILE": "/no/token"},
         ("/no/token: No such file", "id-token: write")),
        (f"[profile work]\nweb_identity_token_file = /no/token\n{ROLE}", WORK,
         ("AWS profile 'work' give no credentials: /no/token: No such file", SHOW_PROFILE)),
        ("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"},
         ("Unsupported host", "unset AWS_CONTAINER_CREDENTIALS_FULL_URI")),
        ("", {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "nonsense"},
         ("Metadata endpoint: nonsense", "aws configure list")),
        ("", {"AWS_METADATA_SERVICE_TIMEOUT": "soon"}, ("'soon'", "aws configure list")),
        # variables
        ("", {"AWS_ACCESS_KEY_ID": "a"}, ("missing: AWS_SECRET_ACCESS_KEY", "unset")),
        ("", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
              "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}, ("still expired", "unset")),
        (f"[profile work]\n{KEYS}", {**WORK, "AWS_ENDPOINT_URL": "nonsense"},
         ("Invalid endpoint: nonsense", "aws configure list")),
        ("", {"AWS_ACCESS_KEY_ID": "a b\n", "AWS_SECRET_ACCESS_KEY": "b"},
         ("character that no HTTP header may have",)),
    ],
)  # fmt: skip
def test_credentials_that_cannot_be_used_are_explained(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    config: str,
    variables: Mapping[str, str],
    texts: tuple[str, ...],
) -> None:
    path = tmp_path / "config"
    path.write_text(config)
    nowhere = {
        "AWS_CONFIG_FILE": str(path),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "HOME": str(tmp_path),
    }
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (nowhere | dict(variables)).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AwsRefused) as raised, translated_errors("voicecore status"):
        AwsLogin().connect("us-east-1")
    shown = f"{raised.value.message}\n{raised.value.hint}"
    for text in texts:
        assert text in shown
