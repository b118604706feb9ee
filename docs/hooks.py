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
    log_events,
    models,
    phone_providers,
    prices,
    settings,
)

_MARK = re.compile(r"<!-- (generate|include): (\S+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the marks of a page; MkDocs calls this for each."""
    return _MARK.sub(
        lambda mark: GENERATORS[mark[2]]() if mark[1] == "generate" else _included(mark[2]),
        markdown,
    )


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
