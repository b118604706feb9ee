"""Owns the server's log: one JSON line per event on stdout, without secrets."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


def write(event: str, session_id: str = "", level: str = "INFO", **fields: Any) -> None:
    """Log an event, in the form of the agent's log."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": time, "level": level, "event": event, "session_id": session_id, **fields}
    print(json.dumps(line), file=sys.stdout, flush=True)


class JsonHandler(logging.Handler):
    """Writes the libraries' messages in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of the logging module."""
        fields = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        write("log", level=record.levelname, **fields)


def set_up() -> None:
    """Log the libraries' warnings too."""
    logging.basicConfig(level=logging.WARNING, handlers=[JsonHandler()], force=True)
