"""`voicecore init`: from a few answers to a project of one's own."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voicecore.catalog import phones, pipelines, regions
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import Pipeline, regions_of, services_of, title_of
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.transports import DEFAULT as DEFAULT_TRANSPORT
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.project import aws_names
from voicecore.project.project import Mistake, mistakes_in
from voicecore.scaffold import questions, render
from voicecore.scaffold.render import Answers, Comparison, Files


@dataclass(frozen=True)
class InitOptions:
    """The flags of `voicecore init`; None and () mean: not said."""

    name: str | None = None
    transports: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    pipeline: str | None = None
    region: str | None = None
    stt: str | None = None
    llm: str | None = None
    tts: str | None = None
    directory: Path | None = None
    yes: bool = False
    force: bool = False
    dry_run: bool = False
    json: bool = False
    list_options: bool = False


class BadAnswers(VoicecoreError):
    """A flag or argument says something that cannot be."""

    def __init__(self, mistakes: list[Mistake], hint: str | None) -> None:
        text = "\n  ".join(f"{mistake.key}: {mistake.message}" for mistake in mistakes)
        super().__init__(text, hint, ExitCode.USAGE)


class FolderExists(VoicecoreError):
    """The project's folder holds something already."""


class Unwritable(VoicecoreError):
    """The system lets nothing be written there."""


def run(context: Context, options: InitOptions) -> ExitCode:
    """Make the project's folder, or say exactly what would be made."""
    if options.list_options:
        context.output.json(choices())
        return ExitCode.OK

    given = _given(options)
    check(given)
    parent = options.directory or context.cwd
    if context.interactive and not options.yes and not options.json:
        if "name" in given:
            _refuse_unless_free(parent / given["name"], options)
        given |= _ask(given, lambda name: _occupied(parent / name) and not options.force)
    answers = complete(given)
    target = parent / answers.name
    _refuse_unless_free(target, options)
    files = render.render(answers, render.new_session_api_key())

    if not _occupied(target):
        if not options.dry_run:
            with _writing(target, options):
                render.write_new(files, target)
        _report(context, options, answers, target, files)
        return ExitCode.OK
    return _write_over(context, options, answers, target, files)


def choices() -> dict[str, Any]:
    """Everything that may be chosen, for programs."""
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
                    stage: [option.name for option in options]
                    for stage, options in p.stages.items()
                },
                "regions": regions_of(p, services_of(p, {})),
            }
            for p in PIPELINES.values()
        ],
    }


def _given(options: InitOptions) -> dict[str, Any]:
    services = {"stt": options.stt, "llm": options.llm, "tts": options.tts}
    given = {
        "name": options.name,
        "transports": list(options.transports),
        BY_PHONE: {"providers": list(options.providers)} if options.providers else None,
        "pipeline": options.pipeline,
        "region": options.region,
        "services": {stage: service for stage, service in services.items() if service is not None},
    }
    # An empty word was said, perhaps by a variable that is not set; an empty list was not.
    return {key: value for key, value in given.items() if value or value == ""}


def check(given: dict[str, Any]) -> None:
    """Raise BadAnswers, which names every mistake, unless all that was said can be."""
    missing = ("name", "transports", "pipeline", "region", BY_PHONE)
    mistakes = [m for m in mistakes_in(given) if m.key not in missing or m.key in given]
    if "services" in given and "pipeline" not in given:
        mistakes.append(Mistake("services", "--stt, --llm and --tts need --pipeline cascade"))
    if not mistakes:
        return
    hint = "See what may be chosen:  voicecore init --list-options"
    if any(mistake.key == "name" for mistake in mistakes):
        better = aws_names.suggestion_for(given["name"]) or questions.DEFAULT_NAME
        hint = f"Try:  voicecore init {better}"
    raise BadAnswers(mistakes, hint)


def _ask(given: dict[str, Any], taken: Callable[[str], bool]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if "name" not in given:
        answers["name"] = questions.ask_name(taken)
    if "transports" not in given:
        answers["transports"] = questions.ask_transports()
    chosen = given.get("transports") or answers["transports"]
    if by_phone(chosen) and BY_PHONE not in given:
        answers[BY_PHONE] = {"providers": questions.ask_providers()}
    if "pipeline" not in given:
        answers["pipeline"] = questions.ask_pipeline()
    pipeline = PIPELINES[given.get("pipeline") or answers["pipeline"]]
    services: dict[str, str] = dict(given.get("services", {}))
    services |= questions.ask_services(pipeline, (s for s in pipeline.stages if s not in services))
    if "region" not in given and _needs_aws(pipeline):
        answers["region"] = questions.ask_region(pipeline, services_of(pipeline, services))
    return answers | {"services": services}


def by_phone(transports: Iterable[str]) -> bool:
    """Whether callers come by telephone, so that a provider has to be chosen."""
    return any(TRANSPORTS[name].by_phone for name in transports)


def _needs_aws(pipeline: Pipeline) -> bool:
    return bool(pipeline.model or pipeline.stages)


def complete(given: dict[str, Any]) -> Answers:
    """The answers, with a default for what nobody said.

    Raises BadAnswers if the defaults do not fit what was said.
    """
    pipeline = PIPELINES[given.get("pipeline", pipelines.DEFAULT)]
    services = services_of(pipeline, given.get("services", {}))
    transports = tuple(given.get("transports", (DEFAULT_TRANSPORT,)))
    telephony = given.get(BY_PHONE) or (
        {"providers": [phones.DEFAULT]} if by_phone(transports) else {}
    )
    answers = Answers(
        name=given.get("name", questions.DEFAULT_NAME),
        transports=transports,
        pipeline=pipeline.name,
        region=given.get("region", regions.DEFAULT),
        services=services,
        providers=tuple(telephony.get("providers", ())),
    )
    said = {name: value for name, value in asdict(answers).items() if name != "providers"}
    if telephony:
        said[BY_PHONE] = telephony
    check(said | {"transports": list(transports)})
    return answers


def _occupied(target: Path) -> bool:
    return target.exists() and (not target.is_dir() or any(target.iterdir()))


def _refuse_unless_free(target: Path, options: InitOptions) -> None:
    """Raise FolderExists if something is there that nobody allowed to be touched."""
    if target.exists() and not target.is_dir():
        raise FolderExists(f"{target} exists and is no folder.", "Choose another name.")
    if _occupied(target) and not options.force:
        raise FolderExists(
            f"{target} exists and is not empty; nothing was written.",
            "Choose another name, or see what would change:\n"
            + _again(options, target.name, "--force", "--dry-run"),
        )


@contextmanager
def _writing(target: Path, options: InitOptions) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(
            f"{target} cannot be written: {error.strerror or error} ({error.filename or target}).",
            "Choose a folder that is yours:\n"
            + _again(replace(options, directory=Path.home()), target.name),
        ) from error


def _again(options: InitOptions, name: str, *added: str) -> str:
    """The command as it was typed, with more flags."""
    said = [word for transport in options.transports for word in ("--transport", transport)]
    said += [word for provider in options.providers for word in ("--provider", provider)]
    for flag in ("pipeline", "region", "stt", "llm", "tts", "directory"):
        value = getattr(options, flag)
        said += [f"--{flag}", str(value)] if value else []
    return shlex.join(["voicecore", "init", name, *said, *added])


def _write_over(
    context: Context, options: InitOptions, answers: Answers, target: Path, files: Files
) -> ExitCode:
    comparison = render.compare(files, target)
    if not options.json:
        _show_comparison(context.output, comparison, target, files)
    if options.dry_run:
        _report(context, options, answers, target, files, comparison)
        return ExitCode.OK
    if comparison.changed and not options.yes:
        if not context.interactive:
            raise FolderExists(
                f"{len(comparison.changed)} files of {target} would be replaced; "
                "nothing was written.",
                f"Agree with --yes:  {_again(options, answers.name, '--force', '--yes')}",
            )
        if not questions.confirm("Replace these files?"):
            context.output.say("Nothing was written.")
            return ExitCode.FAILED
    backup = target / ".voicecore" / "replaced" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    with _writing(target, options):
        render.write_over(files, target, comparison, backup)
    if comparison.changed:
        context.output.note(f"What they replaced is in {backup}")
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
        old = (target / name).read_bytes().decode(errors="replace").splitlines()
        new = files[name].decode(errors="replace").splitlines()
        diff = list(
            difflib.unified_diff(old, new, f"yours/{name}", f"new/{name}", lineterm="", n=1)
        )
        output.lines([Span(line, _DIFF_STYLES.get(line[:1], "dim"))] for line in diff[:20])
        if len(diff) > 20:
            output.note(f"… {len(diff) - 20} more lines differ")


_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def _report(
    context: Context,
    options: InitOptions,
    answers: Answers,
    target: Path,
    files: Files,
    comparison: Comparison | None = None,
) -> None:
    place = target.relative_to(context.cwd) if target.is_relative_to(context.cwd) else target
    following = [f"cd {place}", spoken_to_by(answers)]
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
        output.say(f"Would make {place}/ with {len(files)} files; nothing was written:")
        output.lines([Span(f"  {name}")] for name in files)
        return
    pipeline = PIPELINES[answers.pipeline]
    title = title_of(pipeline, answers.services)
    titles = " + ".join(TRANSPORTS[name].title for name in answers.transports)
    output.lines(
        [
            [Span("✓ ", "green"), Span(f"{place}/", "bold"), Span(f"  {titles}, {title}")],
            [Span("  the prompt, the voice and the tools are in "), Span("agent/bot.py", "bold")],
            *([Span(f"  {need}")] for need in _needs(pipeline, answers)),
            *(
                [Span(f"  {t.title} needs {t.key} in server/.env: README.md says where it is from")]
                for t in map(TRANSPORTS.__getitem__, answers.transports)
                if t.key
            ),
            [],
            [Span("Speak to it:  "), Span(" && ".join(following), "bold")],
        ]
    )


def spoken_to_by(answers: Answers) -> str:
    """The command that speaks to the agent."""
    if any(TRANSPORTS[name].in_talk for name in answers.transports):
        return "voicecore talk"
    return (
        f"voicecore talk --phone {answers.providers[0]}" if answers.providers else "voicecore dev"
    )


def _needs(pipeline: Pipeline, answers: Answers) -> list[str]:
    """What must be there before the agent can speak, beyond what voicecore installs."""
    if not _needs_aws(pipeline):
        return []
    needs = [f"it needs AWS credentials that may use Amazon Bedrock in {answers.region}"]
    if {"deepgram", "cartesia"} & set(answers.services.values()):
        needs.append("and keys:  cp agent/.env.example agent/.env, and fill them in")
    return needs
