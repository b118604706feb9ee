"""Finds the worst prose: archaic words, riddles and British spelling in text that people read.

`python -m tests.prose [PATH...]` prints every hit; without paths, those of the whole project.
In Python files only comments, strings, docstrings and names of tests count; in all other files
every line counts. Text in `backticks` never counts.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATHS = (
    "voicecore", "templates", "docs", "benchmarks", "tests", ".github",
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml", "mkdocs.yml",
)  # fmt: skip
SUFFIXES = {".py", ".jinja", ".md", ".ts", ".tsx", ".toml", ".sh", ".yaml", ".yml", ".example"}
SKIPPED_FOLDERS = {".venv", "node_modules", ".git", "build", "dist", "site"}
# The rules themselves, their examples, and the built page.
SKIPPED_FILES = ("tests/prose.py", "tests/unit/test_prose.py", "page/*.md")

_MAKERS = "AWS|CloudFront|Daily|Docker|ECS|Exotel|KVS|Pipecat|Plivo|Telnyx|Twilio|Vonage"

RULES: tuple[tuple[str, str], ...] = (
    (
        r"\b(whoever|whomever|whom|weighty|anew|mend(s|ed|ing)?|reckon(s|ed|ing)?|heed(s|ed|ing)?"
        r"|thither|hither|hence|lest|ere|betimes|wherewith|whence|whereof|whereby|thereof|thereby"
        r"|therein|aught|naught)\b",
        "a plain word of today",
    ),
    (r"(?<!USER )\b[Nn]obody\b(?!:)|\b[Pp]erhaps\b|\b[Ss]hall\b", "no one / maybe / must"),
    (
        r"(?<![Tt]here )(?<!`)\bis no (?!longer\b|more\b|less\b|later\b)[a-zA-Z]+|\bare none\b"
        r"|\bthat is none\b|\bnone of that name\b",
        "is not a ...",
    ),
    (
        r"\bgoes on costing\b|\bby the hour\b|\bin truth\b|\bin vain\b|\bas it is now\b"
        r"|\belse than\b|\bin whatever\b|\bwill do\b(?= *[.,;])|\bout of AWS again\b",
        "the literal words",
    ),
    (r"\b(takes? (it |them )?away|puts? (it |them )?into AWS|tells? apart|told apart)\b",
     "delete / deploy / distinguish"),
    (rf"\b(of|by|from) ({_MAKERS})'s(?= (and|or|of|in|by|is|that|which|does|has)\b|[.,;:)]|$)",
     "a Daily room, not a room of Daily's"),
    (
        r"(?<![,`])\bwho (gets|has|is|deploys|calls|sends|reads|wants|asks|does|speaks|makes|needs"
        r"|ends|leaves|comes|sits)\b(?= \w+ (hears|gets|has|is|may|must|can)\b)"
        r"|\b(for|from|of|to|as) who\b",
        "name the subject",
    ),
    (r"\bfor so (long|many|much)\b(?! as\b| that\b)|\bafter so (long|many)\b", "how long exactly"),
    (r"\b(a|the) sound (that|which) (was|is)\b|\bstands? there\b|\bcomes? to exist\b",
     "audio / exists"),
    (
        r"\b(behaviour|colour|favour|honour|neighbour|licence|artefact|catalogue|labelled"
        r"|signalling|cancelling|(organ|recogn|initial|serial|normal|author|minim|optim|summar"
        r"|synchron|real|util)is(e|es|ed|ing|ation))s?\b(?!\.md)",
        "American spelling",
    ),
)  # fmt: skip
_RULES = tuple((re.compile(pattern), instead) for pattern, instead in RULES)

_DOCSTRING = re.compile(r"\s*(What|Who|Whom|Whose|How|Where|Whether|Why|When)\b(?![^.\n]*,)")
_COMMENT = re.compile(r"#\s*(What|Who|Whom|Whose)\b[^?]*$")
_TEST_NAME = re.compile(r"test_((what|who|whom|whose)_|an?_[a-z]+_that_is_(no|none)(_|$))")
_CODE = re.compile(r"`[^`\n]*`")
# Strings that other software sends: Pipecat's message type and an error of daily-python.
_FOREIGN = ("signalling", "signalling channel has closed", "signalling channel has closed.")
_JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}")
_JINJA_VALUE = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class Hit:
    """One place that must be rewritten."""

    path: Path
    line: int
    text: str
    instead: str

    def __str__(self) -> str:
        """Return the hit as `path:line: text (write: ...)`."""
        return f"{self.path}:{self.line}: {self.text!r} (write: {self.instead})"


def find(paths: Iterable[Path]) -> list[Hit]:
    """Return the hits in files and, recursively, in folders."""
    return [hit for path in paths for file in _files(path) for hit in hits_in(file)]


def hits_in(path: Path) -> Iterator[Hit]:
    """Yield the hits in one file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py" or path.name.endswith(".py.jinja"):
        segments = _python_segments(text)
    else:
        segments = ((number, "text", line) for number, line in enumerate(text.splitlines(), 1))
    for line, kind, segment in segments:
        yield from _hits(path, line, kind, segment)


def _hits(path: Path, line: int, kind: str, segment: str) -> Iterator[Hit]:
    prose = _CODE.sub("``", segment)
    for pattern, instead in _RULES:
        for match in pattern.finditer(prose):
            yield Hit(path, line + prose.count("\n", 0, match.start()), match[0], instead)
    if kind == "docstring" and (match := _DOCSTRING.match(prose)):
        yield Hit(path, line, match[0].strip(), "a verb, or a noun phrase for an attribute")
    if kind == "comment" and (match := _COMMENT.match(prose)):
        yield Hit(path, line, match[1], "a sentence that says why")
    if kind == "name" and (match := _TEST_NAME.match(prose)):
        yield Hit(path, line, match[0], "the behavior, as test_refuses_short_key")


def _python_segments(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and text of every comment, string, docstring and test name."""
    text, before = _JINJA_VALUE.sub("x", _JINJA.sub("", text)), None
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, tokenize.TokenError):  # a template that is Python only once rendered
        yield from ((number, "text", line) for number, line in enumerate(text.splitlines(), 1))
        return
    for token in tokens:
        line = token.start[0]
        if token.type == tokenize.COMMENT:
            yield line, "comment", token.string
        elif token.type == tokenize.STRING or token.type == _FSTRING_TEXT:
            kind = "docstring" if before is None or before.type in _LINE_STARTS else "string"
            string = token.string.strip("\"'rbfu")
            if string not in _FOREIGN:
                yield line, kind, string
        elif before is not None and before.string == "def":
            yield line, "name", token.string
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token


# A string that begins a statement is a docstring.
_LINE_STARTS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
# Python 3.12 splits f-strings into tokens; before, an f-string is a STRING.
_FSTRING_TEXT = getattr(tokenize, "FSTRING_MIDDLE", -1)


def _files(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        relative = file.resolve().relative_to(ROOT)
        skipped = SKIPPED_FOLDERS.intersection(relative.parts) or any(
            relative.match(pattern) for pattern in SKIPPED_FILES
        )
        if file.is_file() and file.suffix in SUFFIXES and not skipped:
            yield file


if __name__ == "__main__":
    found = find(map(Path, sys.argv[1:] or [str(ROOT / path) for path in PATHS]))
    for hit in found:
        print(hit)
    sys.exit(bool(found))
