"""The server's log: one JSON line for all that happens, on stdout, without any secret."""

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
    """Lets libraries log in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of the logging module."""
        fields = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        write("log", level=record.levelname, **fields)


def take_over() -> None:
    """Log what libraries warn of, too."""
    logging.basicConfig(level=logging.WARNING, handlers=[JsonHandler()], force=True)
