"""The .dockerignore of a generated project excludes secrets and local files from the image."""

from __future__ import annotations

from pathlib import Path

from docker.utils.build import exclude_paths

from tests.generated.projects import KINDS, rendered

EXCLUDED = (
    ".env",
    ".env.local",
    ".env.example",
    "keys/.env",
    "keys/twilio.pem",
    "server.key",
    "tls/bundle.p12",
    "tls/bundle.pfx",
    "store.jks",
    ".aws/credentials",
    ".ssh/config",
    ".ssh/id_ed25519",
    "id_rsa",
    "id_ecdsa.pub",
    ".netrc",
    ".pypirc",
    ".npmrc",
    "google-credentials.json",
    "config/my-service-account.json",
    ".git/config",
    "vendor/thing/.git/HEAD",
    ".gitignore",
    ".venv/bin/python",
    "venv/bin/python",
    "__pycache__/bot.cpython-313.pyc",
    "tools/__pycache__/tool.cpython-313.pyc",
    ".pytest_cache/README.md",
    ".ruff_cache/0.13/x",
    ".mypy_cache/x.json",
    ".voicecore/dev.json",
    ".idea/workspace.xml",
    ".vscode/settings.json",
    ".DS_Store",
    "agent.log",
    "tests/test_bot.py",
    "tools/tests/test_tool.py",
)
INCLUDED = (
    "bot.py",
    "pyproject.toml",
    "uv.lock",
    "internal/prune.py",
    "tools/tool.py",
    "tools/environment.py",
    "prices/menu.json",
    "voices/custom.onnx",
    "keyboard.py",
    "credentials.py",
    "environment.env.py",
)


def test_image_has_no_secrets_and_no_local_files(tmp_path: Path) -> None:
    files = rendered(KINDS[0])
    for name in (*EXCLUDED, *INCLUDED):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    patterns = files["agent/.dockerignore"].decode().splitlines()
    rules = [line for line in patterns if line and not line.startswith("#")]
    # Docker always sends the Dockerfile and .dockerignore; prune.py removes them.
    context = exclude_paths(str(tmp_path), rules, dockerfile="Dockerfile")
    sent = {name for name in context if (tmp_path / name).is_file()}
    assert sent == set(INCLUDED)
