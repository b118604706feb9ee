"""Owns the reading of files that another process is writing."""

from pathlib import Path


def complete_lines(path: Path) -> list[str]:
    """Return the lines that are written whole; none if there is no file yet."""
    text = path.read_text("utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
