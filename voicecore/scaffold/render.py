"""A project as a value: every file that the templates make of a person's answers."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voicecore import __version__
from voicecore.catalog import regions
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import title_of
from voicecore.catalog.transports import TRANSPORTS

if TYPE_CHECKING:
    from jinja2 import Environment

Files = dict[str, bytes]
"""Content by path relative to the project, with forward slashes."""

_OF_CLIENTS = ("server/internal/page/", "agent/internal/tests/caller.py", "tests/")
"""What a project needs only where clients of its own speak to the agent: the page, above all."""

EJECTABLE = ("client",)
"""Folders that a project gets only on request: the TypeScript source of the page."""

SECRET_FILES = ("server/.env",)
"""Files that hold a secret: written for the owner alone, and never replaced."""


@dataclass(frozen=True)
class Answers:
    """What a person decided: all that the templates are told."""

    name: str
    transports: tuple[str, ...]
    pipeline: str
    region: str
    services: dict[str, str]
    providers: tuple[str, ...] = ()
    """Telephone providers, where callers come by telephone."""


def templates() -> Path:
    """Return the templates that projects share: in the installed package or beside a checkout's."""
    package = Path(__file__).parents[1]
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def render(answers: Answers, session_api_key: str) -> Files:
    """The files of the project.

    Layers: `_shared`, `_signed` or `_invoked` as calls begin by /ws or by /invocations, then the
    templates of each transport, of each telephone provider, and of the pipeline; a later layer
    replaces a file of an earlier one. A name that ends in `.jinja` is rendered, all else is copied.
    What is in a layer's folder `common` goes to agent and server, which share no code at run time;
    `part` tells a template which of them it is for.
    """
    engine = _engine()
    variables = _variables(answers, session_api_key)
    files: Files = {}
    for layer in _layers(answers):
        for path in _files_in(layer):
            content = path.read_bytes()
            template = engine.from_string(content.decode()) if path.suffix == ".jinja" else None
            for name in _places(path.relative_to(layer)):
                part = name.partition("/")[0]
                files[name] = (
                    template.render(variables, part=part).encode() if template else content
                )
    if not any(TRANSPORTS[name].browser for name in answers.transports):
        files = {name: files[name] for name in files if not name.startswith(_OF_CLIENTS)}
    return dict(sorted(files.items()))


def ejected(part: str) -> Files:
    """Return the files of one of EJECTABLE, by path relative to the folder of its name."""
    folder = templates() / "_ejectable" / part
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files_in(folder)}


def _layers(answers: Answers) -> list[Path]:
    """Return the folders of templates that make this project, in order."""
    transports = [TRANSPORTS[name] for name in answers.transports]
    starts = {"_invoked" if transport.invoked else "_signed" for transport in transports}
    return [
        *(templates() / name for name in ("_shared", *sorted(starts))),
        *(transport.template for transport in transports),
        *(PHONES[name].template for name in answers.providers),
        PIPELINES[answers.pipeline].template,
    ]


def dockerfile_of(part: str) -> str:
    """The Dockerfile of the agent or the server as `render` makes it: it is every project's."""
    path = templates() / "_shared" / "common" / "Dockerfile.jinja"
    return _engine().from_string(path.read_text(encoding="utf-8")).render(part=part)


def _engine() -> Environment:
    from jinja2 import Environment, StrictUndefined

    return Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - the templates make Python, TOML and Markdown, not HTML
    )


def _places(path: Path) -> list[str]:
    """Where in a project a template's file goes."""
    name = path.as_posix().removesuffix(".jinja")
    part = name.removeprefix("common/")
    return [name] if part == name else [f"agent/{part}", f"server/{part}"]


def _variables(answers: Answers, session_api_key: str) -> dict[str, object]:
    pipeline = PIPELINES[answers.pipeline]
    transports = [TRANSPORTS[name] for name in answers.transports]
    return {
        "project": answers.name,
        "transports": transports,
        "pipeline": pipeline,
        "services": answers.services,
        "providers": answers.providers,
        "phones": [PHONES[name] for name in answers.providers],
        "title": title_of(pipeline, answers.services),
        "region": answers.region,
        "python": pipeline.python,
        "pipecat_extras": sorted({extra for t in transports for extra in t.pipecat_extras}),
        "inference_profile": regions.inference_profile_for(answers.region),
        "session_api_key": session_api_key,
        "voicecore_version": __version__,
    }


def _files_in(layer: Path) -> list[Path]:
    # What tools leave behind in a checkout of voicecore is no part of a template.
    caches = {"__pycache__", ".ruff_cache", ".pytest_cache"}
    left_behind = {".venv", "node_modules", "uv.lock", *caches}
    return sorted(
        path
        for path in layer.rglob("*")
        if path.is_file() and not left_behind & set(path.relative_to(layer).parts)
    )


def new_session_api_key() -> str:
    """A key that only the project's clients and its session server know (256 bits)."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Comparison:
    """How a rendered project differs from what is already in its folder."""

    new: list[str]
    changed: list[str]
    same: list[str]
    kept: list[str]
    """Files with secrets, which are never replaced."""


def compare(files: Files, target: Path) -> Comparison:
    """Which files would be new, replaced, the same, or kept."""
    result = Comparison([], [], [], [])
    for name, content in files.items():
        path = target / name
        if not path.exists():
            result.new.append(name)
        elif name in SECRET_FILES:
            result.kept.append(name)
        elif path.is_file() and path.read_bytes() == content:
            result.same.append(name)
        else:
            result.changed.append(name)
    return result


def write_new(files: Files, target: Path) -> None:
    """Make the project's folder, all at once: an interruption leaves nothing behind.

    Raises FileExistsError if `target` has come to exist.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write(files, draft)
        draft.chmod(0o755)
        if target.exists() and any(target.iterdir()):
            raise FileExistsError(target)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_over(files: Files, target: Path, comparison: Comparison, backup: Path) -> None:
    """Write the new and changed files into `target`; what they replace goes to `backup` first."""
    for name in comparison.changed:
        (backup / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).rename(backup / name)
    _write({name: files[name] for name in comparison.new + comparison.changed}, target)


def _write(files: Files, root: Path) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if name in SECRET_FILES else 0o644
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
