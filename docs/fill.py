"""Fills in the marks of the pages, in place: `python -m docs.fill`, before a release is built.

The wheel has the pages for `voicecore docs`, which cannot generate what needs the repository.
"""

from __future__ import annotations

from pathlib import Path

from docs.hooks import on_page_markdown


def fill(folder: Path) -> None:
    """Fill in each page of the folder."""
    for page in folder.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        if "<!-- include:" not in text:
            page.write_text(on_page_markdown(text), encoding="utf-8")


if __name__ == "__main__":
    fill(Path(__file__).parent)
