"""Generates llms.txt, the index of the site for programs (https://llmstxt.org)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def index(nav: Any) -> list[str]:
    """Return the lines: a summary, then each section of the site with its pages as Markdown."""
    return [
        "# voicecore",
        "",
        "> Build, test and deploy voice agents on Amazon Bedrock AgentCore: a command line and",
        "> generated projects. `voicecore docs PAGE` prints a page of the installed version.",
        *_lines(nav.items),
        "",
    ]


def _lines(items: Any) -> Iterator[str]:
    for item in items:
        if item.children:
            yield from ("", f"## {item.title}", "")
            yield from _lines(item.children)
        elif item.file.src_uri != "index.md":
            yield f"- [{item.title}]({item.file.src_uri})"
