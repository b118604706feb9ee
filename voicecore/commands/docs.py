"""`voicecore docs`: print the documentation of the installed version, for programs above all."""

from __future__ import annotations

import re
from pathlib import Path

import voicecore
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.docs import DocsOptions
from voicecore.project.invalid_setting import did_you_mean

_GENERATED = re.compile(r"^<!-- generate: (\S+) -->$", re.MULTILINE)
_PLACEHOLDER = r"(Generated: `\1`. Released versions have it; `make docs` builds it.)"

_INCLUDED = "<!-- include:"
"""Start of a page that is a file of the repository, about work on voicecore."""

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


class UnknownPage(VoicecoreError):
    """The documentation has no such page."""


def run(context: Context, options: DocsOptions) -> ExitCode:
    """Print a page, or the names and titles of all."""
    pages = _pages()
    if options.page is None:
        return _list(context, options, pages)
    name = options.page.removesuffix(".md").strip("/")
    if name not in pages:
        raise UnknownPage(
            f"There is no page {options.page!r}{did_you_mean(name, tuple(pages)) or '.'}",
            "List the pages:  voicecore docs",
            ExitCode.USAGE,
        )
    if options.json:
        context.output.json({"page": name, "text": pages[name]})
    else:
        context.output.data(pages[name].rstrip())
    return ExitCode.OK


def _list(context: Context, options: DocsOptions, pages: dict[str, str]) -> ExitCode:
    titles = {name: found[1] for name in pages if (found := _TITLE.search(pages[name]))}
    if options.json:
        context.output.json([{"page": name, "title": title} for name, title in titles.items()])
    else:
        context.output.data("\n".join(f"{name:<26} {title}" for name, title in titles.items()))
    return ExitCode.OK


def _pages() -> dict[str, str]:
    """Return the pages by name, such as "transports/webrtc"."""
    package = Path(voicecore.__file__).parent
    installed = package / "_docs"
    folder = installed if installed.is_dir() else package.parent / "docs"
    files = ((path.relative_to(folder), path) for path in sorted(folder.rglob("*.md")))
    texts = {name.with_suffix("").as_posix(): path.read_text("utf-8") for name, path in files}
    # Releases have the generated parts filled in (docs/fill.py).
    return {
        name: _GENERATED.sub(_PLACEHOLDER, text)
        for name, text in texts.items()
        if not text.startswith(_INCLUDED)
    }
