"""Owns the agent's log: one JSON object per line on stdout, including the libraries' messages.

Every line has `time`, `level`, `event` and `session_id`. An agent is `ready` once; the events of a
conversation are session_started, user_said, agent_said, latency, tool_call and session_ended (see
observers.py); a library's message is the event `log`. LOG_LEVEL (default INFO) is the minimum
level, and LOG_TRANSCRIPTS=false omits all that was said.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from .missing_modules import ModuleExcluded, explain

if TYPE_CHECKING:
    from loguru import Message

TRANSCRIPTS = os.environ.get("LOG_TRANSCRIPTS", "true").lower() != "false"
# Pipecat's DEBUG lines quote the conversation.
LEVEL = os.environ.get("LOG_LEVEL", "INFO").upper() if TRANSCRIPTS else "INFO"

# Libraries quote what a caller sends, in any length and as often, and CloudWatch charges by size.
MESSAGE_CHARACTERS = 4000
MESSAGES_PER_MINUTE = 600

_session = {"id": ""}


def use_session(session_id: str) -> None:
    """Put `session_id` on every line from now on: a process serves one session."""
    _session["id"] = session_id


def session() -> str:
    """Return the session that this process serves; empty if none has started."""
    return _session["id"]


def write(event: str, level: str = "INFO", **fields: Any) -> None:
    """Write one line. The names of fields have their unit (`ms`, `seconds`)."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"time": now, "level": level, "event": event, "session_id": _session["id"]}
    print(json.dumps(head | fields, ensure_ascii=False, default=str), flush=True)


def write_ready() -> None:
    """Log that the agent answers callers at once, with the time and memory that it took."""
    # logging counts milliseconds from its import, which is one of the first of a process.
    seconds = logging.makeLogRecord({}).relativeCreated / 1000
    write("ready", seconds=round(seconds, 2), peak_mb=round(_peak_mb()))


def _peak_mb() -> float:
    """Return the most memory that this process has used, in MB."""
    status = Path("/proc/self/status")
    # On Linux, ru_maxrss begins at the size of the parent at exec (getrusage(2)); VmHWM does not.
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 2**10
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else KiB
    return maximum / (2**20 if sys.platform == "darwin" else 2**10)


def spoken(**fields: Any) -> dict[str, Any]:
    """Return `fields` that quote the conversation; none of them if LOG_TRANSCRIPTS=false."""
    return fields if TRANSCRIPTS else {}


def set_up() -> None:
    """Send loguru (Pipecat) and logging (uvicorn, AgentCore, boto3) through `write`."""
    logger.remove()
    # diagnose would print values of variables in tracebacks: transcripts, and keys.
    logger.add(_from_loguru, level=LEVEL, format="{message}", diagnose=False)
    handler = _FromLogging()
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # AgentCore's SDK gives its logger a plain handler unless it has one.
    agentcore = logging.getLogger("bedrock_agentcore.app")
    agentcore.addHandler(handler)
    agentcore.propagate = False


def _from_loguru(message: Message) -> None:
    record = message.record
    # The message includes the traceback of an exception.
    text = str(message).rstrip("\n")
    error = record["exception"].value if record["exception"] else None
    _messages.write(record["level"].name, _explained(text, error), str(record["name"]))


class _FromLogging(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = _explained(self.format(record), error)
        _messages.write(record.levelname, text, record.name)


class _Messages:
    """The libraries' messages: long ones are cut, and a flood of them is left out."""

    def __init__(self) -> None:
        self._minute, self._count = 0, 0

    def write(self, level: str, text: str, name: str) -> None:
        minute = int(time.monotonic()) // 60
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count > MESSAGES_PER_MINUTE and LEVEL not in ("DEBUG", "TRACE"):
            if self._count > MESSAGES_PER_MINUTE + 1:
                return
            text = f"More than {MESSAGES_PER_MINUTE} messages in a minute: the others are left out."
        write("log", level, message=_cut(text), logger=name)


_messages = _Messages()


def _cut(text: str) -> str:
    """Return the text, or its begin and end; a traceback ends with its error."""
    left_out, half = len(text) - MESSAGE_CHARACTERS, MESSAGE_CHARACTERS // 2
    if left_out <= 0:
        return text
    return f"{text[:half]} … {left_out:,} characters … {text[-half:]}"


def _explained(text: str, error: BaseException | None) -> str:
    explanation = explain(error) if error else ""
    return f"{text}\n{explanation}" if explanation else text


def fail(error: BaseException) -> None:
    """Write why the agent cannot start, to stderr, and exit with 1."""
    sys.stdout.flush()
    try:
        if explanation := explain(error):
            raise ModuleExcluded(explanation) from error
    except ModuleExcluded as explained:
        error = explained
    sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    # The server's loop runs in another thread, and nothing needs to finish.
    os._exit(1)
