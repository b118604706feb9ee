"""`voicecore status`: what there is in AWS, how it is, and what it has cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from voicecore.aws import session
from voicecore.aws.known_failures import failure_in
from voicecore.aws.task_group import Together
from voicecore.catalog import regions
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.record import Phone
from voicecore.cloud.deploy.agentcore import DEFAULT_ENDPOINT
from voicecore.cloud.deploy.cloudformation import Live
from voicecore.cloud.observe import status
from voicecore.cloud.observe.status import Found, Server, StageStatus
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Span, megabytes
from voicecore.local.processes.dev_state import read_state
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of
from voicecore.project.project import Project, Stage, load_project


@dataclass(frozen=True)
class StatusOptions:
    """The flags of `voicecore status`; None means: not said."""

    project: Path | None = None
    stage: str | None = None
    region: str | None = None
    profile: str | None = None
    all: bool = False
    drift: bool = False
    json: bool = False


def run(context: Context, options: StatusOptions) -> ExitCode:
    """Show every stage of the project, or with --all what there is of every project."""
    session.check_region(options.region)
    if options.all and (options.drift or options.project):
        flag = "--drift" if options.drift else "--project"
        raise VoicecoreError(
            f"{flag} is about one project, and --all about every one.",
            "Leave one of them out; --all takes --stage and --region.",
            ExitCode.USAGE,
        )
    with session.refusals(typed("status", options), options.profile), Together() as together:
        if options.all:
            return _all(context, options, together)
        return _project(context, options, together)


def _project(context: Context, options: StatusOptions, together: Together) -> ExitCode:
    project = load_project(context.cwd / (options.project or ""))
    phones, here = project.providers, public_url_of(project)
    if here and phones and not options.json:  # it takes no AWS, whose credentials may be missing
        for line in lines_of_here(project.name, phones, here):
            context.output.record(line)
    chosen = [project.stage(options.stage)] if options.stage else list(project.stages.values())
    asked = [together.start(lambda s=s: _stage(project, s, options, together)) for s in chosen]
    found = [together.result(future) for future in asked]
    if options.json:
        stages = [
            document_of(each) | phones_document(phones, each.server.url if each.server else "")
            for each in found
        ]
        context.output.json(
            {"project": project.name, "stages": stages, **phones_document(phones, here)}
        )
        return ExitCode.OK
    now = datetime.now(UTC)
    for each in found:
        for line in lines_of(each, now, phones):
            context.output.record(line)
    return ExitCode.OK


def _stage(
    project: Project, stage: Stage, options: StatusOptions, together: Together
) -> StageStatus:
    aws = session.connect(options.region or stage.region, options.profile)
    if stage.account and stage.account != aws.account:
        reason = f"it is in account {stage.account}; these credentials are of {aws.account}"
        return StageStatus(
            project.name, stage.name, stage.account, aws.region, unknown=(f"all: {reason}",)
        )
    now = datetime.now(UTC)
    return status.of_stage(aws, together, project.name, stage.name, now, options.drift)


def _all(context: Context, options: StatusOptions, together: Together) -> ExitCode:
    home = options.region or context.env.get("AWS_REGION") or regions.AGENTCORE[0]
    aws = session.connect(home, options.profile)
    searched = (options.region,) if options.region else _regions_of(aws.identity.partition)
    found = [
        each
        for each in status.everywhere(aws, together, searched)
        if options.stage in (None, each.stage)
    ]
    if options.json:
        rows = [asdict(each) | {"dollars_per_month": round(each.month, 2)} for each in found]
        context.output.json({"account": aws.account, "regions": list(searched), "found": rows})
        return ExitCode.OK
    if not found:
        what = f"stage {options.stage!r} of a voicecore project" if options.stage else ""
        context.output.say(f"There is no {what or 'voicecore project'} in account {aws.account}.")
    for line in lines_of_all(found):
        context.output.record(line)
    return ExitCode.OK


def _regions_of(partition: str) -> tuple[str, ...]:
    """AgentCore's regions that credentials of a partition may reach: GovCloud stands apart."""
    gov = partition == "aws-us-gov"
    return tuple(r for r in regions.AGENTCORE if r.startswith("us-gov-") == gov)


def public_url_of(project: Project) -> str:
    """By what providers reach a server that runs elsewhere than in AWS, here for example."""
    running = read_state(project.local)
    told = running.phone if running else {}
    urls = (own["PUBLIC_URL"] for own in told.values() if own.get("PUBLIC_URL"))
    return next(urls, "") or dotenv_of(project.server).get("PUBLIC_URL", "")


def lines_of_here(project: str, phones: Sequence[str], url: str) -> Iterator[Line]:
    """For people, what to type at the providers of a server that runs elsewhere than in AWS."""
    yield [Span(f"{project} · PUBLIC_URL", "bold"), Span(f"  {url}")]
    for title, line in _telephones(phones, url):
        yield [Span(f"  {title:<9} ", "dim"), *line]
    yield []


def lines_of(found: StageStatus, now: datetime, phones: Sequence[str] = ()) -> Iterator[Line]:
    """A stage for people."""
    yield [
        Span(f"{found.project} · {found.stage}", "bold"),
        Span(f"  account {found.account}  region {found.region}"),
    ]
    for title, line in _rows(found, now, phones):
        yield [Span(f"  {title:<9} ", "dim"), *line]
    yield []


def _rows(found: StageStatus, now: datetime, phones: Sequence[str]) -> Iterator[tuple[str, Line]]:
    stack = found.stack
    if stack is None:
        if not found.unknown:
            yield "stack", [Span(f"not deployed; to deploy it:  {_deploy(found)}")]
            yield "", [Span("In another region?  voicecore status --all", "dim")]
    else:
        yield from _deployed(found, stack)
    if found.server:
        yield from _hosted(found.server)
        yield from _telephones(phones, found.server.url)
    for group in found.log_groups:
        kept = f"kept {group.days} days" if group.days else "kept for ever"
        yield "logs", [Span(group.name), Span(f"  {kept}, {megabytes(group.bytes)}", "dim")]
    for call in found.sessions:
        times = f"{_when(call.first)} to {_when(call.last)}"
        yield "session", [Span(call.session), Span(f"  {times}", "dim")]
    if found.cost.items:
        yield (
            "cost",
            [
                Span(f"{found.cost.dollars:.2f} $ since {now:%B} began"),
                Span(f"  {_cost(found)}", "dim"),
            ],
        )
    for drift in found.drift:
        yield "drift", [Span(drift, "yellow")]
    for unknown in found.unknown:
        yield "unknown", [Span(unknown, "yellow")]


def _deployed(found: StageStatus, stack: Live) -> Iterator[tuple[str, Line]]:
    good = stack.stands and "ROLLBACK" not in stack.status
    yield "stack", [Span(stack.status, "green" if good else "yellow"), Span(f"  {stack.name}")]
    for version in reversed(found.versions[-3:]):
        yield (
            "version",
            [
                Span(f"v{version.number}  {_when(version.time)}"),
                Span(f"  {_digest(version.image)}  {version.message}".rstrip(), "dim"),
            ],
        )
    runtime = found.runtime
    if runtime is None:
        yield "runtime", [Span(f"there is none; go on with:  {_deploy(found)}", "yellow")]
        return
    ready = runtime.status == "READY"
    yield (
        "runtime",
        [
            Span(runtime.status, "green" if ready else "red" if runtime.settled else "yellow"),
            Span(f"  {runtime.id}, AgentCore's version {runtime.version}"),
        ],
    )
    if runtime.reason:
        known = failure_in(runtime.reason)
        yield "", [Span(runtime.reason, "red")]
        of_stage = aws_names.stage_flag(found.stage)
        yield "", [Span(known.fix if known else f"See what it says:  voicecore logs{of_stage}")]
    if not runtime.mmdsv2:
        yield "", [Span(f"requireMMDSV2 is off; to turn it on:  {_deploy(found)}", "yellow")]
    for endpoint in found.endpoints:
        moving = f" → {endpoint.target}" if endpoint.target != endpoint.live else ""
        note = " (AgentCore's own)" if endpoint.name == DEFAULT_ENDPOINT else ""
        yield (
            "endpoint",
            [
                Span(endpoint.name),
                Span(f"{note}  version {endpoint.live}{moving}, {endpoint.status}", "dim"),
                Span(f"  {endpoint.reason}" if endpoint.reason else "", "red"),
            ],
        )
    if image := found.image:
        size = f"  {megabytes(image.bytes)}" if image.bytes else ""
        gone = "" if image.pushed else "  it is not in the registry any more"
        yield "image", [Span(_digest(image.uri)), Span(size, "dim"), Span(gone, "red")]
    if network := found.network:
        whose = f"  voicecore's own, {network.stack}" if network.stack else ""
        placed = ", ".join((*network.subnets, *network.security_groups))
        yield "network", [Span(network.mode), Span(f"{whose}  {placed}".rstrip(), "dim")]
    if found.channels:
        yield (
            "TURN",
            [
                Span(f"{len(found.channels)} signalling channels"),
                Span(f"  {found.channels[0]} …", "dim"),
            ],
        )


def _deploy(found: StageStatus) -> str:
    return f"voicecore deploy{aws_names.stage_flag(found.stage)}"


def _hosted(server: Server) -> Iterator[tuple[str, Line]]:
    yield (
        "server",
        [
            Span(server.state or server.stack.status, "green" if server.good else "yellow"),
            Span(f"  {server.url}"),
            Span(f"  {_digest(server.image)}" if server.image else "", "dim"),
        ],
    )
    if tasks := server.tasks:
        yield "", [Span(str(tasks)), Span(f"  {tasks.rollout}".rstrip(), "dim")]
        idle = f"  {server.month:.2f} $ a month while nobody calls"
        yield "", [Span(f"about {tasks.open_calls}"), Span(idle, "dim")]
    moving = tasks and server.stack.status == "UPDATE_IN_PROGRESS"
    if moving:
        yield "", [Span("an update of it is under way; old tasks keep their calls", "yellow")]
    elif not server.stack.stands or not server.url:
        yield "", [Span("it did not come up; go on with:  voicecore deploy", "yellow")]
    if server.reason:
        yield "", [Span(server.reason, "red")]


def _telephones(phones: Sequence[str], url: str) -> Iterator[tuple[str, Line]]:
    """What to type at each provider, for a server that it reaches by this address."""
    for phone in (PHONES[name] for name in phones if url):
        more = f"; {phone.also}" if phone.also else ""
        yield "phone", [Span(phone.title), Span(f"  {phone.place}{more}", "dim")]
        typed = phone.console_entries(url)
        widest = max(len(title) for title, _, _ in typed)
        for title, address, method in typed:
            yield "", [Span(f"  {title:<{widest}}  "), Span(address), Span(f"  {method}", "dim")]


def phones_document(phones: Sequence[str], url: str) -> dict[str, Any]:
    """The same for programs, under "phones"; nothing for a server that no provider reaches."""
    known = [PHONES[name] for name in phones if url]
    return {"phones": {phone.name: _phone_document(phone, url) for phone in known}} if known else {}


def _phone_document(phone: Phone, url: str) -> dict[str, Any]:
    typed = [
        dict(zip(("field", "url", "method"), row, strict=True))
        for row in phone.console_entries(url)
    ]
    return {"place": phone.place, "also": phone.also, "fields": typed}


def _cost(found: StageStatus) -> str:
    known = [f"{i.what} {i.dollars:.2f}" for i in found.cost.items if i.dollars is not None]
    unknown = [item.what for item in found.cost.items if item.dollars is None]
    rest = f"not known: {', '.join(unknown)}" if unknown else ""
    return "; ".join(filter(None, (", ".join(known), rest)))


def lines_of_all(found: Sequence[Found]) -> Iterator[Line]:
    """Every project for people, with what each costs while nobody calls."""
    for each in found:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(each.kinds.items()))
        yield [
            Span(f"{each.project} · {each.stage}", "bold"),
            Span(f"  {each.region}"),
            Span(f"  {each.month:.2f} $ a month", "yellow" if each.month >= 1 else ""),
            Span(f"  {kinds}", "dim"),
        ]


def document_of(found: StageStatus) -> dict[str, Any]:
    """A stage for programs; the values of the agent's variables are nobody's business."""
    document = _plain(asdict(found))
    if document["runtime"]:
        document["runtime"]["environment"] = sorted(document["runtime"]["environment"])
    document["cost"]["dollars"] = round(found.cost.dollars, 4)
    return document | {"deployed": found.stack is not None}


def _plain(value: Any) -> Any:
    """The value as JSON has it: times in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("list[Any]", value)]
    return value


def _digest(image: str) -> str:
    """As much of an image's digest as tells it from others."""
    digest = image.rpartition("@")[2]
    return digest[: len("sha256:") + 12] if digest.startswith("sha256:") else image


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "?"
