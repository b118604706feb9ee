"""Secrets as people leave them in projects: all are found, and public projects raise no alarm."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.image.test_secret_scan import BASE32, HEX, PEM_BODY, pem, random_text, write
from voicecore.image.inputs.secret_scan import find_secrets

KEY = random_text(40, HEX)
MIXED = random_text(32)
UUID = "-".join(random_text(length, HEX) for length in (8, 4, 4, 4, 12))
LONG = base64.b64encode(random_text(300).encode()).decode()
PRIVATE = "PRIVATE" + " KEY"
SHORT_LINES = "\n".join(PEM_BODY.replace("\n", "")[at : at + 32] for at in range(0, 320, 32))

PLANTED: dict[str, tuple[str, str | bytes]] = {
    "environ": ("bot.py", f'os.environ["X_API_KEY"] = "{KEY}"'),
    "setdefault": ("bot.py", f'os.environ.setdefault("X_API_KEY", "{KEY}")'),
    "getenv": ("bot.py", f'key = os.getenv("DEEPGRAM_API_KEY", "{KEY}")'),
    "get": ("bot.py", f"os.environ.get('STT_TOKEN', '{MIXED}')"),
    "update": ("bot.py", f'os.environ.update(STT_KEY="{KEY}")'),
    "header token": ("bot.py", f'headers = {{"Authorization": "Token {KEY}"}}'),
    "header bearer": ("bot.py", f'{{"Authorization": f"Bearer {MIXED}"}}'),
    "header own": ("bot.py", f'{{"xi-api-key": "{KEY}"}}'),
    "curl header": ("run.sh", f"curl -H 'Authorization: Token {KEY}' https://api.x.com"),
    "curl user": ("run.sh", f"curl -u admin:{MIXED} https://api.x.com"),
    "positional": ("bot.py", f'stt = DeepgramSTTService("{KEY}")'),
    "second positional": ("bot.py", f'client = Client("AC123", "{KEY[:32]}")'),
    "next line": ("bot.py", f'DeepgramSTTService(\n    api_key=(\n        "{KEY}"\n    ))'),
    "bytes": ("bot.py", f'SECRET = b"{MIXED}"'),
    "annotated": ("bot.py", f'api_key: str = "{MIXED}"'),
    "suffix": ("bot.py", f'API_KEY_PROD = "{MIXED}"'),
    "vendor": ("bot.py", f'DEEPGRAM = "{KEY}"'),
    "uuid": ("bot.py", f'CartesiaTTSService(api_key="{UUID}")'),
    "yaml": ("config.yaml", f"stt:\n  deepgram_api_key: {KEY}\n"),
    "yaml token": ("config.yml", f"token: {MIXED}  # of Ada\n"),
    "toml": ("config.toml", f'[stt]\nkey = "{KEY}"\n'),
    "json": ("config.json", f'{{"apiKey": "{MIXED}"}}'),
    "javascript": ("page.js", f"const API_KEY = `{MIXED}`;"),
    "xml": ("config.xml", f"<password>{MIXED}</password>"),
    "properties": ("app.properties", f"db.password={MIXED}\n"),
    "env file": ("env.prod", f"DEEPGRAM_API_KEY={KEY}\n"),
    "dotenv by another name": ("settings.txt", f'export DAILY_KEY="{KEY}"\n'),
    "session token": ("bot.py", f'aws_session_token="{LONG}"'),
    "session token in a file": ("setup.sh", f"export AWS_SESSION_TOKEN={LONG}\n"),
    "access key": ("a.cfg", f"aws_access_key_id = AKIA{random_text(16, BASE32)}\n"),
    "kubeconfig": ("cluster.yaml", f"    token: {MIXED}{MIXED}\n"),
    "kubeconfig key": (
        "cluster.yaml",
        f"    client-key-data: {base64.b64encode(pem('EC ' + PRIVATE).encode()).decode()}\n",
    ),
    "kubeconfig by name": ("kubeconfig", "apiVersion: v1\n"),
    "docker": ("config.json", f'{{"auths": {{"x": {{"auth": "{LONG[:60]}"}}}}}}'),
    "npm": (".npmrc", f"//registry.npmjs.org/:_authToken={UUID}\n"),
    "redis": ("bot.py", f'redis.from_url("redis://:{MIXED}@cache.internal:6379")'),
    "notebook": (
        "try.ipynb",
        json.dumps({"cells": [{"source": [f'api_key = "{KEY}"\n', "print(1)"]}]}),
    ),
    "notebook output": (
        "try.ipynb",
        json.dumps({"cells": [{"outputs": [{"text": [f"AUTH_TOKEN={MIXED}\n"]}]}]}),
    ),
    "utf-16": ("key.txt", f"DEEPGRAM_API_KEY={KEY}\r\n".encode("utf-16")),
    "utf-16 big": ("key.txt", f"\ufeffapi_key='{KEY}'".encode("utf-16-be")),
    "utf-16 without mark": ("key.txt", f"DEEPGRAM_API_KEY={KEY}\r\n".encode("utf-16-le")),
    "utf-32": ("key.txt", f"DEEPGRAM_API_KEY={KEY}\r\n".encode("utf-32")),
    "private key in utf-16": ("notes.txt", pem("RSA " + PRIVATE).encode("utf-16")),
    "short lines": ("notes.txt", pem(PRIVATE, SHORT_LINES + "\n")),
    "certificate and key": ("tls.pem", pem("CERTIFICATE") + pem("EC " + PRIVATE)),
    "certificate and key in utf-16": (
        "tls.pem",
        (pem("CERTIFICATE") + pem("EC " + PRIVATE)).encode("utf-16"),
    ),
    "certificate and unknown part": ("tls.pem", pem("CERTIFICATE") + pem("SECRET PART")),
    "certificate and key by another name": ("tls.crt", pem("CERTIFICATE") + pem(PRIVATE)),
    "pwd": ("bot.py", f'db_pwd = "{MIXED}"'),
    "authorization": ("bot.py", f'proxyAuthorization = "{MIXED}"'),
    "credential": ("bot.py", f'credential="{MIXED}"'),
    "pem without a label": ("tls.pem", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"),
    "discord": ("bot.py", f"M{random_text(23)}.{random_text(6)}.{random_text(27)}"),
    "telegram": ("bot.py", f"12345678:AA{random_text(33)}"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "content"), PLANTED.values(), ids=PLANTED)
def test_planted_secret_is_found(path: str, content: str | bytes, tmp_path: Path) -> None:
    found = find_secrets(tmp_path, [write(tmp_path, path, content)], {})
    assert found
    shown = "".join(each.path + each.what for each in found)
    assert not any(secret in shown for secret in (KEY, MIXED, UUID))


def test_line_in_utf16_file_is_named(tmp_path: Path) -> None:
    text = f"# one\r\n# two\r\nDEEPGRAM_API_KEY={KEY}\r\n".encode("utf-16")
    (found,) = find_secrets(tmp_path, [write(tmp_path, "key.txt", text)], {})
    assert found.line == 3
    value = find_secrets(tmp_path, ["key.txt"], {"DEEPGRAM_API_KEY": KEY})
    assert "the value of DEEPGRAM_API_KEY in .env" in {each.what for each in value}


HARMLESS = [
    f'cache_key = "{KEY}"',
    f'"primaryKey": "{MIXED}"',
    f"public_key: {MIXED}",
    f'commit = "{KEY}"  # of the model',
    f'next_token = "{MIXED}"',
    'token_url = "https://auth.example.org/oauth2/v2/token"',
    'api_key: str = Field(alias="DEEPGRAM_API_KEY")',
    'secret_name = "voicecore/support-line-2/production"',
    "tokenizer = AutoTokenizer.from_pretrained('gpt2-xl-1558M-v2')",
    'author: "ada_lovelace_1815_1852_london"',
    'client = boto3.client("bedrock-agentcore", region_name="eu-central-1")',
    'stt = Service("en-US-Chirp3-HD-Charon-2024-11-05")',
    f'voices = Service(voice_id="{UUID}")',
    f'os.getenv("CARTESIA_VOICE", "{UUID}")',
    f'os.getenv("ELEVENLABS_VOICE_ID", "{MIXED}")',
    'key = Path("internal/session_2024_table_v2.json")',
    "password: ${DB_PASSWORD_OF_STAGE_2_PRODUCTION}",
    "token: {{ secrets.DEPLOY_TOKEN_2024_PRODUCTION }}",
]


@pytest.mark.parametrize("content", HARMLESS)
def test_harmless_name_is_ignored(content: str, tmp_path: Path) -> None:
    assert find_secrets(tmp_path, [write(tmp_path, "bot.py", content)], {}) == []


def test_link_with_the_name_of_a_key_is_found(tmp_path: Path) -> None:
    write(tmp_path, "ca.txt", pem("CERTIFICATE"))
    (tmp_path / "key.pem").symlink_to("ca.txt")  # an image gets what it leads to there
    assert find_secrets(tmp_path, ["key.pem"], {})


def test_public_certificates_are_allowed(tmp_path: Path) -> None:
    chain = pem("CERTIFICATE") + pem("CERTIFICATE") + pem("PUBLIC KEY")
    assert find_secrets(tmp_path, [write(tmp_path, "chain.pem", chain)], {}) == []


@pytest.mark.parametrize(
    "text",
    [
        "-eyJ" * 200_000,
        "-sk-" * 200_000,
        "//" * 200_000 + ":_authtoken",
        "aeiou" * 200_000 + " key=",
        "key" * 200_000,
        "-----BEGIN " + PRIVATE + "-----\n" + " " * 800_000,
        "client(" * 100_000,
        "://a:" * 100_000,
        "curl " * 100_000,
        f'"api_key": "{KEY}", ' * 20_000,
    ],
    ids=range(10),
)
def test_hostile_text_takes_linear_time(text: str, tmp_path: Path) -> None:
    # With an expression that starts again in the middle of a run, these take minutes to hours.
    find_secrets(tmp_path, [write(tmp_path, "notes.txt", text)], {})


def _files_of(folder: Path) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]


PUBLIC = ["aiohttp", "rich", "typer", "jinja2", "websockets", "bedrock_agentcore", "schemathesis",
          "docker", "aiortc", "uvicorn"]  # fmt: skip


@pytest.mark.slow
def test_ten_public_projects_raise_at_most_one_alarm() -> None:
    found: list[str] = []
    for name in PUBLIC:
        spec = importlib.util.find_spec(name)
        assert spec and spec.origin, name
        folder = Path(spec.origin).parent
        found += [f"{name}/{each.path}:{each.line}" for each in
                  find_secrets(folder, _files_of(folder), {})]  # fmt: skip
    assert len(found) <= 1, found


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["websocket", "webrtc", "daily", "telephony"])
def test_generated_project_raises_no_alarm(transport: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "voicecore", "init", "ada", "--yes", "--transport", transport]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    for part in ("agent", "server"):
        folder = tmp_path / "ada" / part
        files = [name for name in _files_of(folder) if Path(name).name not in (".env",)]
        assert find_secrets(folder, files, {}) == []
