"""Generates the pictures of the architecture, and the table of packages."""

from __future__ import annotations

import ast
from pathlib import Path

from docs.generators.markdown import table
from tests.unit.test_layers import FLOORS

ROOT = Path(__file__).parents[2]


def calls() -> str:
    """Return the picture of a call, inline so that it follows the site's palette."""
    return _picture((ROOT / "docs/calls.svg").read_text(encoding="utf-8").strip())


def floors() -> str:
    """Return the floors of the code as a picture that follows the site's palette."""
    width, height, gap = 720, 40, 10
    shapes: list[str] = []
    for number, packages in enumerate(_floors()):
        wide = (width - gap * (len(packages) - 1)) / len(packages)
        for place, name in enumerate(packages):
            x, y = place * (wide + gap), number * (height + gap) + 1
            shapes.append(
                f'<rect x="{x + 1:.0f}" y="{y}" width="{wide - 2:.0f}" height="{height}" rx="6"/>'
                f'<text x="{x + wide / 2:.0f}" y="{y + 25}" text-anchor="middle" font-size="15">'
                f"{name}</text>"
            )
    tall = len(_floors()) * (height + gap)
    return _picture(
        f'<svg class="floors" viewBox="0 0 {width} {tall}" role="img" '
        f'aria-label="The floors of the code, top first">{"".join(shapes)}</svg>'
    )


def _picture(svg: str) -> str:
    return f"<div>{svg}</div>"  # Markdown leaves a div alone


def _floors() -> list[list[str]]:
    """Return the packages of each floor, top first."""
    packages = [
        sorted(name for name in floor if (ROOT / "voicecore" / name).is_dir()) for floor in FLOORS
    ]
    return [floor for floor in packages if floor]


def rooms() -> str:
    """Return what each package of voicecore owns, by its docstring."""
    names = (name for floor in _floors() for name in floor)
    return table(("package", "owns"), ((f"`{name}`", _docstring_of(name)) for name in names))


def _docstring_of(name: str) -> str:
    source = (ROOT / "voicecore" / name / "__init__.py").read_text(encoding="utf-8")
    return " ".join((ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split())
