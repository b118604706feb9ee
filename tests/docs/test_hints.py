"""Every hint leads somewhere: the commands and options in the product's texts exist."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.test_commands import all_options, parse
from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports import TRANSPORTS
from voicecore.scaffold.render import Answers, render

SOURCES = sorted(
    path for path in (ROOT / "voicecore").rglob("*.py") if "template" not in path.parts
)
TEMPLATES = sorted(
    path
    for folder in (ROOT / "templates", ROOT / "voicecore/catalog")
    for path in folder.rglob("*")
    if path.suffix in (".py", ".jinja", ".md", ".toml", ".ts")
    and (folder.name == "templates" or "template" in path.parts)
)
HOLE = "\x00"
"""Stands for what a text gets when the product runs."""

_IN_BACKTICKS = re.compile(r"`(?:sudo )?(voicecore [^`]+)`")
_TO_TYPE = re.compile(r"(?:^|  )(?:sudo )?(voicecore [^`\n]+)", re.MULTILINE)
_AFTER = re.compile(r"(, |  | \(|; ).*")
"""The rest of a line, after a command."""
_PROSE = {
    "=", "calls", "did", "failed", HOLE, "generates", "knows", "project", "turns", "uses", "wrote"
}  # fmt: skip
"""Words that follow the name `voicecore` at the begin of a sentence."""
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w…-])")
_OTHER_PROGRAM = re.compile(
    r"\b(apt|aws|brew|curl|docker|mount|pip|pulseaudio|sudo|systemctl|unshare|uv|uvicorn|uvx|wsl)\b"
)
_NOT_OURS = {
    "--ctstate", "--dport", "--sport", "--to", "--hash", "--help", "--map-root-user", "--mount",
    "--no-build", "--python-platform", "--target", "--user",
}  # fmt: skip
"""Flags of other programs in texts that do not name them: of iptables, uv, curl, Dockerfiles."""


def texts_in(path: Path) -> Iterator[str]:
    """Yield the strings of a module, f-strings with a HOLE for each value."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in node.values}
    for node in joined:
        yield "".join(str(p.value) if isinstance(p, ast.Constant) else HOLE for p in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def commands_in(text: str) -> Iterator[str]:
    """Yield the voicecore commands that a text tells to type."""
    to_type = (line for line in _TO_TYPE.findall(text) if line.split()[1] not in _PROSE)
    for found in (*_IN_BACKTICKS.findall(text), *to_type):
        for line in re.split(r" && | \| ", found):
            if line.startswith("voicecore "):
                yield _AFTER.sub("", line).strip().rstrip('.:"')


def problem_of(line: str) -> str:
    """Return why no value makes the command one that voicecore accepts; empty if one does."""
    problems: list[str] = []
    for value in ("", " X", "X", "1"):
        try:
            parse(shlex.split(line.replace(HOLE, value).replace("COMMAND", "talk")))
        except Exception as error:
            # A text may name a command or an option without its arguments. --help ends with 0.
            if not re.search(r"Missing|requires an argument|^0$", str(error)):
                problems.append(str(error))
                continue
        return ""
    return f"{line!r}: {problems[0]}"


def test_commands_in_the_products_texts_exist() -> None:
    lines = {line for path in SOURCES for text in texts_in(path) for line in commands_in(text)}
    assert len(lines) > 100
    assert [p for p in map(problem_of, sorted(lines)) if p] == []


def test_commands_in_generated_files_exist() -> None:
    lines: set[str] = set()
    for path in TEMPLATES:
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", HOLE, path.read_text(encoding="utf-8"))
        lines |= {line for part in text.split("#") for line in commands_in(part)}
    assert len(lines) > 30
    assert [p for p in map(problem_of, sorted(lines)) if p] == []


def test_options_in_the_products_texts_exist() -> None:
    named = {
        flag
        for path in SOURCES
        for text in texts_in(path)
        if not text.lstrip().startswith("-") and not _OTHER_PROGRAM.search(text)
        for flag in _FLAG.findall(text)
    }
    assert len(named) > 50
    assert named - all_options() - _NOT_OURS == set()


def test_files_that_hints_name_are_in_the_repository() -> None:
    pages = {
        page
        for path in SOURCES
        for text in texts_in(path)
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", text)
    }
    assert [page for page in pages if not (ROOT / page).exists()] == []


@pytest.mark.parametrize(
    "text",
    [
        "Start it:  voicecore dev --share-it",
        "See `voicecore turns`.",
        "voicecore lgos --follow, then wait",
        "Run `sudo voicecore dev --natt`.",
        f"voicecore deploy --servr{HOLE}",
    ],
)
def test_stale_hint_is_found(text: str) -> None:
    [line] = set(commands_in(text))
    assert problem_of(line)


@pytest.mark.parametrize("transport", [name for name, each in TRANSPORTS.items() if each.key])
def test_readme_says_where_a_transports_key_is(transport: str) -> None:
    files = render(Answers("mine", (transport,), "offline", "us-east-1", {}, ()), "")
    assert TRANSPORTS[transport].key in files["server/README.md"].decode()


@pytest.mark.parametrize("provider", PHONES)
def test_readme_says_where_a_providers_variables_are(provider: str) -> None:
    answers = Answers("mine", ("telephony",), "offline", "us-east-1", {}, (provider,))
    text = render(answers, "")["server/README.md"].decode()
    assert {*PHONES[provider].secrets, *PHONES[provider].calling} <= set(
        re.findall(r"[A-Z_]+", text)
    )
