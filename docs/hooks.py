"""Fills in the marks of the site's pages while MkDocs builds it.

A page marks a place by `<!-- generate: NAME -->`; GENERATORS has what goes there. A page that has
`<!-- include: FILE -->` shows a file of the repository's root.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file alone, without the packages beside it

from docs.generators import (  # noqa: E402 - found by the line above
    architecture,
    checks,
    commands,
    exit_codes,
    http_api,
    llms_txt,
    log_events,
    models,
    phone_providers,
    prices,
    settings,
)

_MARK = re.compile(r"<!-- (generate|include): (\S+) -->")


def on_page_markdown(markdown: str, page: Any = None, **_: Any) -> str:
    """Fill in the marks of a page; MkDocs calls this for each."""
    text = _MARK.sub(
        lambda mark: GENERATORS[mark[2]]() if mark[1] == "generate" else _included(mark[2]),
        markdown,
    )
    if page:
        _texts[page.file.src_uri] = text
    return text


_texts: dict[str, str] = {}
"""The pages of this build, by path."""


def on_nav(nav: Any, **_: Any) -> None:
    """Write the index for programs; MkDocs calls this before it reads the pages."""
    _index[:] = llms_txt.index(nav)


_index: list[str] = []
"""The lines of llms.txt."""


def on_post_build(config: Any, **_: Any) -> None:
    """Write llms.txt, and each page as the Markdown that it names."""
    site = Path(config.site_dir)
    (site / "llms.txt").write_text("\n".join(_index), encoding="utf-8")
    for path, text in _texts.items():
        (site / path).write_text(text, encoding="utf-8")


def _included(name: str) -> str:
    """Return a file of the root, with its links to docs/ and to the root as links between pages."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for file, page in _PAGES.items():
        text = text.replace(f"]({file})", f"]({page})")
    return text.replace("](docs/", "](")


_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security-policy.md",
}


GENERATORS: dict[str, Callable[[], str]] = {
    "commands": commands.commands,
    "settings": settings.settings,
    "models": models.bedrock_models,
    "checks": checks.checks,
    "exit-codes": exit_codes.exit_codes,
    "agent-events": log_events.agent_events,
    "server-events": log_events.server_events,
    "http-api": http_api.http_api,
    "phone-providers": phone_providers.phone_providers,
    "prices": prices.list_prices,
    "calls": architecture.calls,
    "floors": architecture.floors,
    "rooms": architecture.rooms,
}
