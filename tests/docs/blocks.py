"""Reads the shell commands in the docs: fenced blocks, and `voicecore ...` in the text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUN = "<!-- test: run -->"
"""The line above a block whose commands a test runs."""

_FENCE = re.compile(r"^( *)```(\w+)?.*$")
_INLINE = re.compile(r"`(voicecore [^`\n]+)`")
_SHELL = ("sh", "shell", "bash", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block of shell commands."""

    page: Path
    line: int
    text: str
    is_run: bool

    @property
    def commands(self) -> list[list[str]]:
        """Arguments of every command, without comments, operators and redirections."""
        return list(commands_in(self.text))


def blocks_in(page: Path) -> Iterator[Block]:
    """Yield the shell blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if not fence:
            continue
        if opened is None:
            opened = (number, fence[1], fence[2] or "")
            continue
        start, indent, language = opened
        opened = None
        if language in _SHELL:
            body = "\n".join(each.removeprefix(indent) for each in lines[start + 1 : number])
            yield Block(page, start + 1, body, start > 0 and lines[start - 1].strip() == RUN)
    assert opened is None, f"{page}: a block is not closed"


def inline_in(page: Path) -> Iterator[list[str]]:
    """Yield the `voicecore ...` commands in the text of a page."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)
    for match in _INLINE.finditer(prose):
        yield shlex.split(match[1])


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the arguments of every simple command, also those in `$(...)`."""
    for inner in re.findall(r"\$\(([^()]*)\)", text):
        yield from commands_in(inner)
    for line in _logical_lines(text):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        argv: list[str] = []
        for token in [*lexer, ";"]:
            if token and not token.strip(";&|"):
                if argv := _without_prefix(argv):
                    yield argv
                argv = []
            else:
                argv.append(token)


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines, joined at a backslash and inside of quotes."""
    pending = ""
    for line in text.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        try:
            shlex.split(pending, comments=True)
        except ValueError:  # a quote is still open
            continue
        if pending.strip():
            yield pending
        pending = ""
    assert not pending, f"a quote is not closed: {pending}"


def _without_prefix(argv: list[str]) -> list[str]:
    """Return a command without `sudo` and without assignments of variables in front."""
    argv = [re.sub(r"^\$\(command -v (\w+)\)$", r"\1", word) for word in argv]
    while argv and re.fullmatch(r"sudo|--preserve-env|[A-Z_]+=.*", argv[0]):
        argv = argv[1:]
    return argv
