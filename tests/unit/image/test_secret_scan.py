"""The secret scan: likely secrets are found with their place, and never shown."""

from __future__ import annotations

import base64
import os
import random
import string
from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode
from voicecore.image.inputs import secret_scan
from voicecore.image.inputs.secret_scan import SuspectedSecret

# Secrets made of random letters, so that none is real.
_random = random.Random(3)


def random_text(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(_random.choice(letters) for _ in range(length))


HEX = string.digits + "abcdef"
BASE32 = string.ascii_uppercase + "234567"
PEM_BODY = base64.encodebytes(_random.randbytes(240)).decode()
AWS_SECRET = random_text(40)
DEEPGRAM = random_text(40, HEX)


def random_uuid() -> str:
    return "-".join(random_text(length, HEX) for length in (8, 4, 4, 4, 12))


def pem(kind: str, body: str = PEM_BODY) -> str:
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n"


SHAPES = {
    "rsa": (pem("RSA PRIVATE" + " KEY"), "a private key"),
    "openssh": (pem("OPENSSH PRIVATE" + " KEY"), "a private key"),
    "encrypted": (
        pem("RSA PRIVATE" + " KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\n" + PEM_BODY),
        "a private key",
    ),
    "in json": ('{"private_key": ' + repr(pem("PRIVATE" + " KEY")) + "}", "a private key"),
    "putty": ("PuTTY-User-Key-" + "File-3: ssh-ed25519\n", "a private key"),
    "access key": (f'key = "AKIA{random_text(16, BASE32)}"', "an AWS access key"),
    "session key": (f"ASIA{random_text(16, BASE32)},{AWS_SECRET}", "an AWS access key"),
    "aws ini": (f"aws_secret_access_key = {AWS_SECRET}", "an AWS secret access key"),
    "aws env": (f"export AWS_SECRET_ACCESS_KEY={AWS_SECRET}", "an AWS secret access key"),
    "aws json": (f'{{"SecretAccessKey": "{AWS_SECRET}"}}', "an AWS secret access key"),
    "github": ("ghp_" + random_text(36), "a GitHub token"),
    "github fine": ("github_pat_" + random_text(22) + "_" + random_text(59), "a GitHub token"),
    "gitlab": ("glpat-" + random_text(20), "a GitLab token"),
    "slack": ("xoxb-" + random_text(12, string.digits) + "-" + random_text(24), "a Slack token"),
    "webhook": (
        f"https://hooks.slack.com/services/T{random_text(8)}/B{random_text(8)}/{random_text(24)}",
        "a Slack webhook",
    ),
    "stripe": ("sk_live_" + random_text(24), "a Stripe key"),
    "openai": (f"sk-proj-{random_text(20)}T3BlbkFJ{random_text(20)}", "an OpenAI key"),
    "anthropic": ("sk-ant-api03-" + random_text(93) + "AA", "an Anthropic key"),
    "google": ("AIza" + random_text(35), "a Google API key"),
    "hugging face": ("hf_" + random_text(34, string.ascii_letters), "a Hugging Face token"),
    "pypi": ("pypi-AgEIcHlwaS5vcmc" + random_text(60), "a PyPI token"),
    "npm": ("npm_" + random_text(36), "an npm token"),
    "sendgrid": (f"SG.{random_text(22)}.{random_text(43)}", "a SendGrid key"),
    "cartesia": ("sk_car_" + random_text(22), "a Cartesia key"),
    "elevenlabs": ("sk_" + random_text(48, HEX), "an ElevenLabs key"),
    "groq": ("gsk_" + random_text(52), "a Groq key"),
    "azure": (f"AccountKey={random_text(86)}==;", "an Azure storage key"),
    "jwt": (f"eyJ{random_text(20)}.eyJ{random_text(40)}.{random_text(43)}", "a JSON web token"),
    "url": (f"postgres://me:{random_text(12)}@db.internal:5432/calls", "a password in a URL"),
    "deepgram": (f'DeepgramSTTService(api_key="{DEEPGRAM}")', "a key in the code"),
    "yaml": (f"client_secret: '{random_text(32)}'", "a key in the code"),
    "dockerfile": (f"ENV DEEPGRAM_API_KEY={DEEPGRAM}", "a key in the code"),
}  # fmt: skip

HARMLESS = [
    'KEY = "AKIA' + 'IOSFODNN7EXAMPLE"',
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    'api_key=os.environ["DEEPGRAM_API_KEY"]',
    'api_key = "your-deepgram-api-key-here-0123"',
    "api_key=settings.deepgram_api_key_of_stage2",
    'if "-----BEGIN PRIVATE' + ' KEY-----" in text: refuse(text)',
    pem("CERTIFICATE"),
    "postgres://postgres:postgres@localhost:5432/test",
    "https://user:{password}@host and https://user:$PASSWORD@host and ftp://user:pass123@example.com",
    'token = "voicecore-local-development"',
    f'hash = "sha256:{random_text(64, HEX)}"',
    f'voice_id = "{random_uuid()}"',
    "secret_key_base_of_the_application = compute_it(somehow, 12345)",
    "the password: 'correct horse battery staple'",
    "task_" + random_text(30) + " hf_" + random_text(12) + " sk_" + random_text(12, HEX),
    f'access_token="{DEEPGRAM}"  # pragma: allowlist secret',
]


def write(folder: Path, path: str, content: str | bytes) -> str:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(("content", "what"), SHAPES.values(), ids=SHAPES)
def test_secret_is_found_with_its_line(content: str, what: str, tmp_path: Path) -> None:
    path = write(tmp_path, "bot.py", f"import os\n\n{content}\n")
    assert SuspectedSecret(path, 3, what) in secret_scan.find_secrets(tmp_path, [path], {})


@pytest.mark.parametrize("content", HARMLESS)
def test_harmless_text_is_ignored(content: str, tmp_path: Path) -> None:
    path = write(tmp_path, "bot.py", content)
    assert secret_scan.find_secrets(tmp_path, [path], {}) == []


@pytest.mark.parametrize(
    "path",
    [".env", ".env.local", "config/prod.env", "key.pem", "tls/server.key", "id_rsa", "cert.P12",
     "id_ed25519_work", ".netrc", ".pypirc", "google-service-account.json", "credentials",
     "new_user_credentials.csv", "me_accessKeys.csv", "terraform.tfstate", ".git-credentials"],
)  # fmt: skip
def test_secrets_file_is_found_by_name(path: str, tmp_path: Path) -> None:
    write(tmp_path, path, "nothing to see")
    assert secret_scan.find_secrets(tmp_path, [path], {}) == [
        SuspectedSecret(path, None, "a file that contains secrets, judging by its name")
    ]


@pytest.mark.parametrize(
    "path",
    [".env.example", "environment.py", "credentials.py", "credentials/__init__.py", "monkey.py",
     "id_rsa.pub", "keys.json", ".gitignore", "prompts/envy.txt"],
)  # fmt: skip
def test_harmless_file_name_is_ignored(path: str, tmp_path: Path) -> None:
    write(tmp_path, path, "nothing to see")
    assert secret_scan.find_secrets(tmp_path, [path], {}) == []


def test_secrets_folder_is_reported_once(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, path, "x")
        for path in (".git/HEAD", ".git/objects/ab/cd", "tools/.aws/config", "tools/.aws/sso")
    ]
    found = secret_scan.find_secrets(tmp_path, paths, {})
    assert [finding.path for finding in found] == [".git/", "tools/.aws/"]


def test_certificates_are_allowed(tmp_path: Path) -> None:
    public = write(tmp_path, "ca.pem", pem("CERTIFICATE"))
    mixed = write(tmp_path, "both.pem", pem("CERTIFICATE") + pem("PRIVATE" + " KEY"))
    assert [found.path for found in secret_scan.find_secrets(tmp_path, [public, mixed], {})] == [
        mixed
    ]


# ---- values of agent/.env


def test_value_of_env_file_is_found_in_any_file(tmp_path: Path) -> None:
    values = {"DEEPGRAM_API_KEY": DEEPGRAM, "LOG_LEVEL": "DEBUG", "DB_PASSWORD": "hunter22"}
    paths = [
        write(tmp_path, "bot.py", f"# try {DEEPGRAM[:-1]}\nurl = 'wss://x?token={DEEPGRAM}'\n"),
        write(tmp_path, "notes.txt", "LOG_LEVEL=DEBUG\nhunter22"),
    ]
    assert secret_scan.find_secrets(tmp_path, paths, values) == [
        SuspectedSecret("bot.py", 2, "a key in the code"),
        SuspectedSecret("bot.py", 2, "the value of DEEPGRAM_API_KEY in .env"),
        SuspectedSecret("notes.txt", 2, "the value of DB_PASSWORD in .env"),
    ]


def test_value_is_found_in_large_binary_file(tmp_path: Path) -> None:
    noise = b"\0\n" + os.urandom(1 << 20)
    # Across the border of two windows of the file.
    content = (noise * 9)[: (4 << 20) - 20] + DEEPGRAM.encode() + noise
    path = write(tmp_path, "model.onnx", content)
    assert secret_scan.find_secrets(tmp_path, [path], {"DEEPGRAM_API_KEY": DEEPGRAM}) == [
        SuspectedSecret(path, None, "the value of DEEPGRAM_API_KEY in .env")
    ]


def test_line_number_is_right_in_large_file(tmp_path: Path) -> None:
    lines = ["a line of a long text"] * 500_000
    lines[321_098] = "ghp_" + random_text(36)
    lines[456_789] = DEEPGRAM
    path = write(tmp_path, "corpus.txt", "\n".join(lines))
    assert secret_scan.find_secrets(tmp_path, [path], {"KEY": DEEPGRAM}) == [
        SuspectedSecret(path, 321_099, "a GitHub token"),
        SuspectedSecret(path, 456_790, "the value of KEY in .env"),
    ]


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside", "ghp_" + random_text(36))
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "link").symlink_to("../outside")
    (agent / "broken").symlink_to("nowhere")
    assert secret_scan.find_secrets(agent, ["link", "broken"], {}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEEPGRAM_API_KEY", DEEPGRAM),
        ("DB_PASSWORD", "hunter22"),
        ("SENTRY", f"https://{random_text(32, HEX)}@sentry.io/1"),
        ("CARTESIA_API_KEY", "71a7ad14-091c-4e8e-a314-022ece01c121"),
        ("SOMETHING", random_text(32)),
    ],
)
def test_is_secret_accepts_secrets(name: str, value: str) -> None:
    assert secret_scan.is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "INFO"),
        ("DEEPGRAM_API_KEY", ""),
        ("DEEPGRAM_API_KEY", "your-api-key"),
        ("LOG_TOKENS", "true"),
        ("PIPER_VOICE", "en_US-ryan-high"),
        ("VOICE", "71a7ad14-091c-4e8e-a314-022ece01c121"),
        ("AUTH_VOICE_ID", "a0e99841438c4a64b679"),
        ("ROLE", "arn:aws:iam::123456789012:role/agent-7Xy2"),
        ("ENDPOINT", "https://abc123def456.execute-api.us-east-1.amazonaws.com/prod"),
        ("MODEL_PATH", "/opt/models/whisper-large-v3-turbo-q5_0.bin"),
        ("GREETING", "Hello! You have reached line 42 of the support desk."),
    ],
)
def test_is_secret_rejects_settings(name: str, value: str) -> None:
    assert not secret_scan.is_secret(name, value)


# ---- the error


def test_error_names_places_but_no_secret(tmp_path: Path) -> None:
    agent = tmp_path / "agent"
    paths = [
        write(agent, "bot.py", f'\napi_key="{DEEPGRAM}"\n'),
        write(agent, "my key.pem", pem("PRIVATE" + " KEY")),
    ]
    with pytest.raises(secret_scan.SecretInContext) as refusal:
        secret_scan.require_no_secrets(agent, paths, {"STT_KEY": DEEPGRAM})
    message, hint = refusal.value.message, refusal.value.hint or ""
    assert "bot.py, line 2  a key in the code" in message
    assert "the value of STT_KEY in .env" in message
    assert "my key.pem" in message
    assert "echo 'my key.pem' >> agent/.dockerignore" in hint
    assert "agent/.env" in hint
    assert DEEPGRAM not in message + hint
    assert PEM_BODY[:20] not in message + hint
    assert refusal.value.exit_code is ExitCode.BAD_PROJECT


def test_long_list_is_shortened(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}.key", "x") for number in range(25)]
    with pytest.raises(secret_scan.SecretInContext, match="and 15 more"):
        secret_scan.require_no_secrets(tmp_path, paths, {})


def test_clean_files_pass(tmp_path: Path) -> None:
    secret_scan.require_no_secrets(tmp_path, [write(tmp_path, "bot.py", "print('hello')")], {})
