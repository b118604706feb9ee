"""Owns rendering: from a user's answers to all files of a project, as a value."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from voicecore import __version__
from voicecore.catalog import platforms
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import model_variables, title_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.turn_sources import SOURCES
from voicecore.project import identity
from voicecore.project.no_links import refuse_links, within

if TYPE_CHECKING:
    from jinja2 import Environment, Template

    from voicecore.project.project import Project

Files = dict[str, bytes]
"""Content by path relative to the project, with forward slashes."""

_PACKAGE = Path(__file__).parents[1]

_BROWSER_ONLY = ("server/internal/page/", "agent/internal/tests/caller.py", "tests/")
"""Files of a project whose callers use a browser or a client: the page, above all."""

EJECTABLE = ("client",)
"""Folders that a project gets only on request: the TypeScript source of the page."""

SECRET_FILES = ("server/.env",)
"""Files that hold a secret: readable by their owner only, and never replaced."""


@dataclass(frozen=True)
class Answers:
    """The user's answers, which decide the content of a project."""

    name: str
    transports: tuple[str, ...]
    pipeline: str
    region: str
    services: dict[str, str]
    providers: tuple[str, ...] = ()
    """Phone providers, if callers use a phone."""


def answers_of(project: Project) -> Answers:
    """Return the answers that an existing project was created from."""
    return Answers(
        project.name,
        project.transports,
        project.pipeline,
        project.region,
        project.services,
        project.providers,
    )


def templates() -> Path:
    """Return the folder of the shared templates: in the installed package, or in the checkout."""
    installed = _PACKAGE / "_templates"
    return installed if installed.is_dir() else _PACKAGE.parent / "templates"


def render(answers: Answers, session_api_key: str, project_id: str = "") -> Files:
    """Return the files of the project, with its ID if it has one.

    Layers: `_shared`; `_signed`, for calls that start at /ws with a presigned URL; then
    the templates of each transport, TURN source, phone provider, and of the pipeline. A later layer
    replaces a file of an earlier one. A file whose name ends in `.jinja` is rendered; one that ends
    in `.copy` names a module of voicecore to copy; any other is copied. The folder `common` of a
    layer goes to both agent/ and server/, which share no code at run time; `part` tells a template
    which of them it is for.
    """
    variables = _variables(answers, session_api_key) | {
        "id_line": identity.line_of(project_id) if project_id else ""
    }
    files: Files = {}
    for layer in _layers(answers):
        for path in files_in(layer):
            content = path.read_bytes()
            if path.suffix == ".copy":
                content = (_PACKAGE / content.decode().strip()).read_bytes()
            template = _template(content.decode()) if path.suffix == ".jinja" else None
            for name in _destinations(path.relative_to(layer)):
                part = name.partition("/")[0]
                files[name] = (
                    template.render(variables, part=part).encode() if template else content
                )
    if not any(TRANSPORTS[name].browser for name in answers.transports):
        files = {name: files[name] for name in files if not name.startswith(_BROWSER_ONLY)}
    return dict(sorted(files.items()))


def ejected(part: str) -> Files:
    """Return the files of one of EJECTABLE, by path relative to the folder of its name."""
    folder = templates() / "_ejectable" / part
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_in(folder)}


def adopted(name: str, variables: Mapping[str, object]) -> bytes:
    """Return a file that `adopt` adds to an agent of the user's own."""
    path = templates() / "_adopted" / f"{name}.jinja"
    return _engine().from_string(path.read_text(encoding="utf-8")).render(variables).encode()


def dockerfile_of(part: str) -> str:
    """Return the Dockerfile of the agent or the server, which is the same in every project."""
    path = templates() / "_shared" / "common" / "Dockerfile.jinja"
    return _template(path.read_text(encoding="utf-8")).render(part=part)


def _layers(answers: Answers) -> list[Path]:
    transports = [TRANSPORTS[name] for name in answers.transports]
    signed = ("_signed",) if any(not transport.invoked for transport in transports) else ()
    sources = SOURCES.values() if any(transport.turn for transport in transports) else ()
    return [
        *(templates() / name for name in ("_shared", *signed)),
        *(transport.template for transport in transports),
        *(source.template for source in sources),
        *(PHONES[name].template for name in answers.providers),
        PIPELINES[answers.pipeline].template,
    ]


@cache
def _template(source: str) -> Template:
    """Return the compiled template: `add` and `update` render a project more than once."""
    return _engine().from_string(source)


@cache
def _engine() -> Environment:
    from jinja2 import Environment, StrictUndefined

    engine = Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - the templates make Python, TOML and Markdown, not HTML
    )
    # jinja2 declares no type, and which one pyright infers depends on what it has checked before.
    engine.filters["python"] = _as_python  # pyright: ignore[reportUnknownMemberType]
    return engine


def _as_python(texts: Iterable[str]) -> str:
    """Return a tuple of texts as Python source, in ruff's format."""
    quoted = [json.dumps(text) for text in texts]
    return f"({', '.join(quoted)}{',' * (len(quoted) == 1)})"


def _destinations(path: Path) -> list[str]:
    name = path.as_posix().removesuffix(".jinja").removesuffix(".copy")
    common = name.removeprefix("common/")
    return [name] if common == name else [f"agent/{common}", f"server/{common}"]


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
        "turn_sources": SOURCES,
        "title": title_of(pipeline, answers.services),
        "region": answers.region,
        "platform": platforms.platform_for(answers.region),
        "python": pipeline.python,
        "pipecat_extras": sorted({extra for t in transports for extra in t.pipecat_extras}),
        "models": model_variables(pipeline, answers.services, answers.region),
        "session_api_key": session_api_key,
        "voicecore_version": __version__,
    }


def files_in(folder: Path) -> list[Path]:
    """Return the files of a template or a project, without what tools leave in it."""
    caches = {"__pycache__", ".ruff_cache", ".pytest_cache"}
    left_behind = {".git", ".venv", ".voicecore", "node_modules", "uv.lock", *caches}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not left_behind & set(path.relative_to(folder).parts)
    )


def new_session_api_key() -> str:
    """Return a new key (256 bits) for the project's clients and its session server."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Comparison:
    """The difference between a rendered project and the files in its folder."""

    new: list[str]
    changed: list[str]
    same: list[str]
    kept: list[str]
    """Files with secrets, which are never replaced."""


def compare(files: Files, target: Path) -> Comparison:
    """Sort `files` into those that are new, would be replaced, are the same, or are kept."""
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
    """Write a new folder in one step: an interruption leaves nothing behind.

    Raises FileExistsError if `target` exists by now and is not empty.
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
    """Write the new and changed files into `target`, after moving replaced ones to `backup`."""
    folders = [(target / name).parent for name in comparison.changed]
    for path in (backup, *folders, *(target / name for name in comparison.new)):
        refuse_links(path, target)
    for name in comparison.changed:
        (backup / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).rename(backup / name)
    _write({name: files[name] for name in comparison.new + comparison.changed}, target)


def _write(files: Files, root: Path) -> None:
    for name, content in files.items():
        mode = 0o600 if name in SECRET_FILES else 0o644
        with open(root / name, "xb", opener=within(root, mode)) as file:
            file.write(content)
