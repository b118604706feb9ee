"""Nothing that a caller sends makes the log grow without bounds."""

from __future__ import annotations

import json
import subprocess
import sys

from .running_agent import AGENT

# Pipecat quotes a caller's message that is not JSON.
FLOOD = """
import logging

from loguru import logger

from internal import logs

logs.set_up()
for _ in range(700):
    logger.error("begin" + "[" * 60_000 + "end")
    logging.getLogger("uvicorn").error("[" * 60_000)
"""


def test_messages_of_libraries_are_limited() -> None:
    argv = [sys.executable, "-c", FLOOD]
    done = subprocess.run(argv, cwd=AGENT, stdout=subprocess.PIPE, check=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert 600 < len(lines) < 1300  # the minute may end in between
    assert max(len(line["message"]) for line in lines) < 4100
    first = lines[0]["message"]
    assert first.startswith("begin[") and first.endswith("[end") and "56,008 characters" in first
    assert any("left out" in line["message"] for line in lines)
