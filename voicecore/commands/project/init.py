"""`voicecore init`: create a project from the answers to a few questions."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voicecore.catalog import phones, pipelines, regions
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import GENERATED, PIPELINES
from voicecore.catalog.pipelines.record import (
    Pipeline,
    regions_of,
    services_of,
    title_of,
    used_by,
)
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.transports import DEFAULT as DEFAULT_TRANSPORT
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.diff import diff_lines
from voicecore.console.errors import DISK_FULL, ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.options.project.init import InitOptions
from voicecore.project import aws_names, identity
from voicecore.project.foreign_code import mark_known
from voicecore.project.invalid_setting import InvalidSetting
from voicecore.project.project import FILE
from voicecore.project.schema import invalid_settings
from voicecore.scaffold import questions, record, render
from voicecore.scaffold.render import Answers, Comparison, Files

_DIFF_LINES = 20
"""Lines shown of the diff of one file."""


class InvalidAnswers(VoicecoreError):
    """An option or argument has an invalid value."""

    def __init__(self, invalid: list[InvalidSetting], hint: str | None) -> None:
        text = "\n  ".join(f"{_typed_as(each.key)}: {each.message}" for each in invalid)
        super().__init__(text, hint, ExitCode.USAGE)


class FolderExists(VoicecoreError):
    """The project's folder is not empty."""


class NotWritable(VoicecoreError):
    """The project's folder cannot be written."""


def run(context: Context, options: InitOptions) -> ExitCode:
    """Create the project's folder, or show what would be written."""
    if options.list_options:
        context.output.json(_choices())
        return ExitCode.OK

    parent = context.cwd / (options.directory or "")
    given = _given(options)
    _check(given)
    if context.interactive and not options.yes and not options.json:
        if "name" in given:
            _require_free(parent / given["name"], options)
        given |= _ask(given, lambda name: _occupied(parent / name) and not options.force)
    answers = _completed(given)
    target = parent / answers.name
    _require_free(target, options)
    files = render.render(answers, render.new_session_api_key(), _id_in(target))

    if not _occupied(target):
        if not options.dry_run:
            with _writing(target, options):
                render.write_new(files | {record.PATH: record.packed(files)}, target)
            mark_known(target)
        _report(context, options, answers, target, files)
        return ExitCode.OK
    return _write_over(context, options, answers, target, files)


def _choices() -> dict[str, Any]:
    """Return everything that can be chosen, for --list-options."""
    return {
        "transports": [asdict(transport) for transport in TRANSPORTS.values()],
        "providers": [asdict(phone) for phone in PHONES.values()],
        "pipelines": [
            {
                "name": p.name,
                "title": p.title,
                "summary": p.summary,
                "needs": p.needs,
                "python": p.python,
                "services": {
                    kind: [option.name for option in options] for kind, options in p.stages.items()
                },
                "regions": regions_of(p, services_of(p, {})),
            }
            for p in GENERATED.values()
        ],
    }


def _given(options: InitOptions) -> dict[str, Any]:
    """Return what the options say, by key of voicecore.toml."""
    services = {
        "stt": options.stt,
        "llm": options.llm,
        "tts": options.tts,
        "speech_to_speech": options.speech_to_speech,
    }
    given = {
        "name": options.name,
        "transports": list(options.transports),
        BY_PHONE: {"providers": list(options.providers)} if options.providers else None,
        "pipeline": options.pipeline,
        "region": options.region,
        "services": {kind: service for kind, service in services.items() if service is not None},
    }
    # An empty string was typed, for example as an unset variable; an empty list was not.
    return {key: value for key, value in given.items() if value or value == ""}


def _check(given: dict[str, Any]) -> None:
    """Raise InvalidAnswers, which lists every invalid value, unless all are valid."""
    optional = ("name", "transports", "pipeline", "region", BY_PHONE)
    invalid = [i for i in invalid_settings(given) if i.key not in optional or i.key in given]
    if "services" in given and "pipeline" not in given:
        for kind in given["services"]:
            homes = " or ".join(p.name for p in PIPELINES.values() if kind in p.stages)
            invalid.append(InvalidSetting(kind, f"needs --pipeline {homes}"))
    if given.get("pipeline") == pipelines.CUSTOM:
        own = InvalidSetting("pipeline", f"{pipelines.CUSTOM!r} is an agent that you have")
        raise InvalidAnswers([own], "Adopt it:  voicecore adopt FOLDER")
    if not invalid:
        return
    hint = "List all choices, as JSON:  voicecore init --list-options"
    if any(each.key == "name" for each in invalid):
        better = aws_names.suggestion_for(given["name"]) or questions.DEFAULT_NAME
        hint = f"Try:  voicecore init {better}"
    raise InvalidAnswers(invalid, hint)


def _typed_as(key: str) -> str:
    """Return what the user types for a key of voicecore.toml."""
    flags = {"transports": "--transport", BY_PHONE: "--provider"}
    top = key.partition(".")[0]
    return flags.get(top) or (key if top == "name" else f"--{key}")


def _ask(given: dict[str, Any], taken: Callable[[str], bool]) -> dict[str, Any]:
    """Return the user's answers to what is not given."""
    answers: dict[str, Any] = {}
    if "name" not in given:
        answers["name"] = questions.ask_name(taken)
    if "transports" not in given:
        answers["transports"] = questions.ask_transports()
    chosen = given.get("transports") or answers["transports"]
    if _by_phone(chosen) and BY_PHONE not in given:
        answers[BY_PHONE] = {"providers": questions.ask_providers()}
    if "pipeline" not in given:
        answers["pipeline"] = questions.ask_pipeline()
    pipeline = PIPELINES[given.get("pipeline") or answers["pipeline"]]
    services: dict[str, str] = dict(given.get("services", {}))
    missing = (kind for kind in pipeline.stages if kind not in services)
    services |= questions.ask_services(pipeline, missing)
    if "region" not in given and _needs_aws(pipeline):
        answers["region"] = questions.ask_region(pipeline, services_of(pipeline, services))
    return answers | {"services": services}


def _by_phone(transports: Iterable[str]) -> bool:
    """Return whether callers come by phone, so that a provider has to be chosen."""
    return any(TRANSPORTS[name].by_phone for name in transports)


def _needs_aws(pipeline: Pipeline) -> bool:
    return bool(pipeline.stages)


def _completed(given: dict[str, Any]) -> Answers:
    """Return the answers, with a default for each that is not given.

    Raises InvalidAnswers if the defaults do not fit what is given.
    """
    pipeline = PIPELINES[given.get("pipeline", pipelines.DEFAULT)]
    services = services_of(pipeline, given.get("services", {}))
    transports = tuple(given.get("transports", (DEFAULT_TRANSPORT,)))
    telephony = given.get(BY_PHONE) or (
        {"providers": [phones.DEFAULT]} if _by_phone(transports) else {}
    )
    answers = Answers(
        name=given.get("name", questions.DEFAULT_NAME),
        transports=transports,
        pipeline=pipeline.name,
        region=given.get("region", regions.DEFAULT),
        services=services,
        providers=tuple(telephony.get("providers", ())),
    )
    settings = {key: value for key, value in asdict(answers).items() if key != "providers"}
    if telephony:
        settings[BY_PHONE] = telephony
    _check(settings | {"transports": list(transports)})
    return answers


def _id_in(target: Path) -> str:
    """Return the ID of the project that is there, which keeps it; a new project's is new."""
    try:
        answers = tomllib.loads((target / FILE).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return identity.new_id()
    found = answers.get("id", "")
    return found if identity.is_id(found) else ""


def _occupied(target: Path) -> bool:
    return target.exists() and (not target.is_dir() or any(target.iterdir()))


def _require_free(target: Path, options: InitOptions) -> None:
    """Raise FolderExists if something is there that --force does not allow to change."""
    if target.exists() and not target.is_dir():
        raise FolderExists(f"{target} exists and is not a folder.", "Choose another name.")
    if _occupied(target) and not options.force:
        again = typed("init", replace(options, name=target.name), "--force", "--dry-run")
        raise FolderExists(
            f"{target} exists and is not empty; nothing was written.",
            f"Choose another name, or see what would change:\n{again}",
        )


@contextmanager
def _writing(target: Path, options: InitOptions) -> Generator[None]:
    """Turn an OSError of the block into NotWritable."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            again = typed("init", replace(options, name=target.name, directory=Path("FOLDER")))
            raise NotWritable(
                f"Could not write {target}: its disk is full.",
                f"Free space, or choose a folder on another disk:\n{again}",
            ) from error
        again = typed("init", replace(options, name=target.name, directory=Path.home()))
        raise NotWritable(
            f"{target} cannot be written: {error.strerror or error} ({error.filename or target}).",
            f"Choose a folder that you own:\n{again}",
        ) from error


def _write_over(
    context: Context, options: InitOptions, answers: Answers, target: Path, files: Files
) -> ExitCode:
    """Write into an existing folder; keep a copy of each file that is replaced."""
    comparison = render.compare(files, target)
    if not options.json:
        _show_comparison(context.output, comparison, target, files)
    if options.dry_run:
        _report(context, options, answers, target, files, comparison)
        return ExitCode.OK
    if comparison.changed:
        outcome = f"{len(comparison.changed)} files of {target} were not replaced"
        again = typed("init", replace(options, name=answers.name), "--force")
        confirm(context, options, "Replace these files?", outcome, again)
    backup = target / ".voicecore" / "replaced" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    with _writing(target, options):
        render.write_over(files, target, comparison, backup)
        record.write(target, files)
    if comparison.changed:
        context.output.note(f"The replaced files are in {backup}")
    _report(context, options, answers, target, files, comparison)
    return ExitCode.OK


def _show_comparison(output: Output, comparison: Comparison, target: Path, files: Files) -> None:
    for verb, style, paths in (
        ("new", "green", comparison.new),
        ("changed", "yellow", comparison.changed),
        ("kept", "dim", comparison.kept),
    ):
        output.lines([Span(f"{verb:>9} ", style), Span(path)] for path in paths)
    for name in comparison.changed:
        diff = diff_lines(name, (target / name).read_bytes(), files[name])
        output.lines(diff[:_DIFF_LINES])
        if len(diff) > _DIFF_LINES:
            output.note(f"… {len(diff) - _DIFF_LINES} more lines differ")


def _report(
    context: Context,
    options: InitOptions,
    answers: Answers,
    target: Path,
    files: Files,
    comparison: Comparison | None = None,
) -> None:
    """Show what was written, and what to type next."""
    place = target.relative_to(context.cwd) if target.is_relative_to(context.cwd) else target
    following = [f"cd {place}", _talk_command(answers)]
    if options.json:
        context.output.json(
            {
                "project": str(target),
                "written": not options.dry_run,
                "answers": asdict(answers),
                "files": list(files),
                **(asdict(comparison) if comparison else {}),
                "next": following,
            }
        )
        return
    output = context.output
    if options.dry_run:
        output.say(f"Would create {place}/ with {len(files)} files; nothing was written:")
        output.lines([Span(f"  {name}")] for name in files)
        return
    title = title_of(PIPELINES[answers.pipeline], answers.services)
    titles = " + ".join(TRANSPORTS[name].title for name in answers.transports)
    output.lines(
        [
            [Span("✓ ", "green"), Span(f"{place}/", "bold"), Span(f"  {titles}, {title}")],
            [Span("  prompt, voice and tools are in "), Span("agent/bot.py", "bold")],
            *([Span(f"  {need}")] for need in _needs(answers)),
            [],
            [Span("Talk to it:  "), Span(" && ".join(following), "bold")],
        ]
    )


def _talk_command(answers: Answers) -> str:
    """Return the command that talks to the agent."""
    if any(TRANSPORTS[name].in_talk for name in answers.transports):
        return "voicecore talk"
    return (
        f"voicecore talk --phone {answers.providers[0]}" if answers.providers else "voicecore dev"
    )


def _needs(answers: Answers) -> list[str]:
    """Return what the agent needs before it can talk, besides what voicecore installs."""
    needs: list[str] = []
    pipeline = PIPELINES[answers.pipeline]
    if _needs_aws(pipeline):
        needs.append(f"it needs AWS credentials that can use Amazon Bedrock in {answers.region}")
    if any(service.key for service in used_by(pipeline, answers.services)):
        needs.append("and API keys:  cp agent/.env.example agent/.env, then fill them in")
    return needs + [
        f"{t.title} needs {t.key} in server/.env: server/README.md says where"
        for t in map(TRANSPORTS.__getitem__, answers.transports)
        if t.key
    ]
