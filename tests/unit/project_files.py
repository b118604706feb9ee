"""Owns a valid voicecore.toml, and how tests write one."""

from pathlib import Path

GOOD = """\
name = "support-line"
transports = ["websocket"]
pipeline = "cascade"
region = "us-east-1"
voicecore = "0.1.0"

[services]
stt = "deepgram"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "voicecore.toml").write_text(text)
    return folder
