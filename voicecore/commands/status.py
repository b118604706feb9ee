"""`voicecore status`: show what is deployed, its health and its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from voicecore.aws import session
from voicecore.aws.errors import NoAwsCredentials, translated_errors
from voicecore.aws.known_failures import find_known_failure
from voicecore.aws.login import AwsLogin
from voicecore.aws.task_group import TaskGroup
from voicecore.catalog import regions
from voicecore.catalog.phones import PHONES, Phone
from voicecore.cloud.observe import projects, status
from voicecore.cloud.observe.projects import TaggedResources
from voicecore.cloud.observe.status import ServerStatus, StageStatus
from voicecore.cloud.resources.agentcore import DEFAULT_ENDPOINT, Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Span, dollars, megabytes
from voicecore.local.processes.dev_state import read_state
from voicecore.options.status import StatusOptions
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of
from voicecore.project.project import Project, Stage, load_project


def run(context: Context, options: StatusOptions) -> ExitCode:
    """Show every stage of the project, or with --all every project of the account."""
    session.check_region(options.region)
    if options.all and (options.drift or options.project):
        flag = "--drift" if options.drift else "--project"
        raise VoicecoreError(
            f"{flag} is for one project, --all for every project.",
            "Use one of them; --all takes --stage and --region.",
            ExitCode.USAGE,
        )
    again = typed("status", options)
    if options.all:
        with translated_errors(again, options.profile), TaskGroup() as tasks:
            return _show_all(context, options, tasks)
    project = load_project(context.cwd / (options.project or ""))
    public_url = public_url_of(project) if project.providers else ""
    told = bool(public_url) and not options.json
    if told:
        for line in public_url_lines(project.name, project.providers, public_url):
            context.output.record(line)
    try:
        with translated_errors(again, options.profile), TaskGroup() as tasks:
            return _show_project(context, options, project, public_url, tasks)
    except NoAwsCredentials as error:
        if not told:
            raise
        context.output.warn(f"{error.message} What is deployed is not shown.")
        return ExitCode.OK


def _show_project(
    context: Context, options: StatusOptions, project: Project, public_url: str, tasks: TaskGroup
) -> ExitCode:
    phones = project.providers
    stages = [project.stage(options.stage)] if options.stage else list(project.stages.values())
    login = AwsLogin(options.profile, context.interactive)
    login.open(options.region or stages[0].region)
    asked = [
        tasks.start(lambda s=stage: _status_of(project, s, options, login, tasks))
        for stage in stages
    ]
    found = [tasks.result(future) for future in asked]
    if options.json:
        documents = [
            document_of(each) | phones_document(phones, each.server.url if each.server else "")
            for each in found
        ]
        context.output.json(
            {"project": project.name, "stages": documents, **phones_document(phones, public_url)}
        )
        return ExitCode.OK
    now = datetime.now(UTC)
    for each in found:
        for line in lines_of(each, now, phones):
            context.output.record(line)
    return ExitCode.OK


def _status_of(
    project: Project, stage: Stage, options: StatusOptions, login: AwsLogin, tasks: TaskGroup
) -> StageStatus:
    aws = login.connect(options.region or stage.region)
    if stage.account and stage.account != aws.account:
        reason = f"it is in account {stage.account}; these credentials are for {aws.account}"
        return StageStatus(
            project.name, stage.name, stage.account, aws.region, unknown=(f"all: {reason}",)
        )
    now = datetime.now(UTC)
    return status.stage_status(aws, tasks, project.owner, stage.name, now, options.drift)


def _show_all(context: Context, options: StatusOptions, tasks: TaskGroup) -> ExitCode:
    home = options.region or context.env.get("AWS_REGION") or regions.AGENTCORE[0]
    aws = AwsLogin(options.profile, context.interactive).connect(home)
    searched = (options.region,) if options.region else _regions_of(aws.identity.partition)
    found = [
        each
        for each in projects.find_projects(aws, tasks, searched)
        if options.stage in (None, each.stage)
    ]
    if options.json:
        rows = [asdict(each) | {"dollars_per_month": round(each.month, 2)} for each in found]
        context.output.json({"account": aws.account, "regions": list(searched), "found": rows})
        return ExitCode.OK
    if not found:
        what = f"stage {options.stage!r} of a voicecore project" if options.stage else ""
        context.output.say(f"Account {aws.account} has no {what or 'voicecore project'}.")
    for line in project_lines(found):
        context.output.record(line)
    return ExitCode.OK


def _regions_of(partition: str) -> tuple[str, ...]:
    """Return AgentCore's regions in a partition: GovCloud has credentials of its own."""
    gov = partition == "aws-us-gov"
    return tuple(r for r in regions.AGENTCORE if r.startswith("us-gov-") == gov)


def public_url_of(project: Project) -> str:
    """Return the URL by which providers reach a server outside AWS, such as `voicecore dev`."""
    running = read_state(project.local)
    phones = running.phone if running else {}
    urls = (own["PUBLIC_URL"] for own in phones.values() if own.get("PUBLIC_URL"))
    return next(urls, "") or dotenv_of(project.server).get("PUBLIC_URL", "")


def public_url_lines(project: str, phones: Sequence[str], url: str) -> Iterator[Line]:
    """Yield the settings at phone providers for a server outside AWS."""
    yield [Span(f"{project} · PUBLIC_URL", "bold"), Span(f"  {url}")]
    for title, line in _phone_rows(phones, url):
        yield [Span(f"  {title:<9} ", "dim"), *line]
    yield []


def lines_of(found: StageStatus, now: datetime, phones: Sequence[str] = ()) -> Iterator[Line]:
    """Yield the status of a stage for people."""
    yield [
        Span(f"{found.project} · {found.stage}", "bold"),
        Span(f"  account {found.account}  region {found.region}"),
    ]
    for title, line in _rows(found, now, phones):
        yield [Span(f"  {title:<9} ", "dim"), *line]
    yield []


Row = tuple[str, Line]
"""A title, which is empty below a row of the same title, and a line."""


def _rows(found: StageStatus, now: datetime, phones: Sequence[str]) -> Iterator[Row]:
    if found.stack:
        yield from _stack_rows(found, found.stack)
        yield from _runtime_rows(found)
        yield from _resource_rows(found)
    elif not found.unknown:
        yield "stack", [Span(f"not deployed; to deploy it, run:  {_deploy_command(found)}")]
        yield "", [Span("To search other regions, run:  voicecore status --all", "dim")]
    if found.server:
        yield from _server_rows(found.server)
        yield from _phone_rows(phones, found.server.url)
    for group in found.log_groups:
        kept = f"kept for {group.days} days" if group.days else "never deleted"
        yield "logs", [Span(group.name), Span(f"  {kept}, {megabytes(group.bytes)}", "dim")]
    for each in found.sessions:
        times = f"{local_time(each.first)} to {local_time(each.last)}"
        yield "session", [Span(each.session), Span(f"  {times}", "dim")]
    if found.cost.items:
        total = f"{dollars(found.cost.dollars)} in {now:%B}"
        yield "cost", [Span(total), Span(f"  {_cost_items(found)}", "dim")]
    for deleted in found.deleted:
        yield "deleted", [Span(deleted, "yellow")]
    if found.deleted:
        yield "", [Span(f"to restore what was deleted, run:  {_deploy_command(found)}")]
    for drift in found.drift:
        yield "drift", [Span(drift, "yellow")]
    for unknown in found.unknown:
        yield "unknown", [Span(unknown, "yellow")]


def _stack_rows(found: StageStatus, stack: DeployedStack) -> Iterator[Row]:
    healthy = stack.updatable and "ROLLBACK" not in stack.status
    color = "green" if healthy else "yellow"
    yield "stack", [Span(stack.status, color), Span(f"  {stack.name}")]
    for version in reversed(found.versions[-3:]):
        image = f"  {short_digest(version.image)}  {version.message}".rstrip()
        when = f"v{version.number}  {local_time(version.time)}"
        yield "version", [Span(when), Span(image, "dim")]


def _runtime_rows(found: StageStatus) -> Iterator[Row]:
    runtime = found.runtime
    if runtime is None:
        yield "runtime", [Span(f"missing; to create it, run:  {_deploy_command(found)}", "yellow")]
        return
    ready = runtime.status == "READY"
    color = "green" if ready else "red" if runtime.settled else "yellow"
    version = f"  {runtime.id}, AgentCore's version {runtime.version}, platform {runtime.platform}"
    yield "runtime", [Span(runtime.status, color), Span(version)]
    if runtime.reason:
        yield from _failure_rows(runtime, found.stage)
    if not runtime.mmdsv2:
        fix = f"requireMMDSV2 is off; to turn it on, run:  {_deploy_command(found)}"
        yield "", [Span(fix, "yellow")]


def _failure_rows(runtime: Runtime, stage: str) -> Iterator[Row]:
    known = find_known_failure(runtime.reason)
    logs = f"To see the log, run:  voicecore logs{aws_names.stage_flag(stage)}"
    yield "", [Span(runtime.reason, "red")]
    yield "", [Span(known.fix if known else logs)]


def _resource_rows(found: StageStatus) -> Iterator[Row]:
    """Yield rows for the resources of a stage that has a runtime."""
    if found.runtime is None:
        return
    for endpoint in found.endpoints:
        moving = f" → {endpoint.target}" if endpoint.target != endpoint.live else ""
        note = " (AgentCore's own)" if endpoint.name == DEFAULT_ENDPOINT else ""
        state = f"{note}  version {endpoint.live}{moving}, {endpoint.status}"
        reason = f"  {endpoint.reason}" if endpoint.reason else ""
        yield "endpoint", [Span(endpoint.name), Span(state, "dim"), Span(reason, "red")]
        if endpoint.settled and endpoint.live != found.runtime.version:
            list_them = f"voicecore versions{aws_names.stage_flag(found.stage)}"
            yield "", [Span(f"not the newest version; to list all, run:  {list_them}", "yellow")]
    if image := found.image:
        size = f"  {megabytes(image.bytes)}" if image.bytes else ""
        gone = "" if image.pushed else "  no longer in the registry"
        yield "image", [Span(short_digest(image.uri)), Span(size, "dim"), Span(gone, "red")]
    if network := found.network:
        own = f"  voicecore's own, {network.stack}" if network.stack else ""
        ids = ", ".join((*network.subnets, *network.security_groups))
        yield "network", [Span(network.mode), Span(f"{own}  {ids}".rstrip(), "dim")]
    if found.channels:
        first, *others = found.channels
        count = f"{len(found.channels)} signaling channel{'s' * bool(others)}"
        yield "TURN", [Span(count), Span(f"  {first}{' …' * bool(others)}", "dim")]


def _deploy_command(found: StageStatus) -> str:
    return f"voicecore deploy{aws_names.stage_flag(found.stage)}"


def _server_rows(server: ServerStatus) -> Iterator[Row]:
    color = "green" if server.healthy else "yellow"
    image = f"  {short_digest(server.image)}" if server.image else ""
    state = Span(server.state or server.stack.status, color)
    yield "server", [state, Span(f"  {server.url}"), Span(image, "dim")]
    if tasks := server.tasks:
        yield "", [Span(str(tasks)), Span(f"  {tasks.rollout}".rstrip(), "dim")]
        idle = f"  {dollars(server.month)} per month without calls"
        yield "", [Span(f"about {tasks.open_calls}"), Span(idle, "dim")]
    if tasks and server.stack.status == "UPDATE_IN_PROGRESS":
        yield "", [Span("an update is in progress; old tasks keep their calls", "yellow")]
    elif not server.stack.updatable or not server.url:
        yield "", [Span("not completed; to continue, run:  voicecore deploy", "yellow")]
    if server.reason:
        yield "", [Span(server.reason, "red")]


def _phone_rows(phones: Sequence[str], url: str) -> Iterator[Row]:
    """Yield what to set at each provider, for a server at this URL."""
    for phone in (PHONES[name] for name in phones if url):
        also = f"; {phone.also}" if phone.also else ""
        yield "phone", [Span(phone.title), Span(f"  {phone.place}{also}", "dim")]
        fields = phone.console_entries(url)
        widest = max(len(title) for title, _, _ in fields)
        for title, address, method in fields:
            yield "", [Span(f"  {title:<{widest}}  "), Span(address), Span(f"  {method}", "dim")]


def phones_document(phones: Sequence[str], url: str) -> dict[str, Any]:
    """Return the same for programs, under "phones"; empty for a server that has no URL."""
    known = [PHONES[name] for name in phones if url]
    return {"phones": {phone.name: _phone_document(phone, url) for phone in known}} if known else {}


def _phone_document(phone: Phone, url: str) -> dict[str, Any]:
    fields = [
        dict(zip(("field", "url", "method"), row, strict=True))
        for row in phone.console_entries(url)
    ]
    return {"place": phone.place, "also": phone.also, "fields": fields}


def _cost_items(found: StageStatus) -> str:
    known = [f"{i.what} {dollars(i.dollars)}" for i in found.cost.items if i.dollars is not None]
    unknown = [item.what for item in found.cost.items if item.dollars is None]
    rest = f"not included: {', '.join(unknown)}" if unknown else ""
    return "; ".join(filter(None, (", ".join(known), rest)))


def project_lines(found: Sequence[TaggedResources]) -> Iterator[Line]:
    """Yield every project for people, with its owner's tags and its monthly cost without calls."""
    namesakes = Counter((each.project, each.stage, each.region) for each in found)
    for each in found:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(each.kinds.items()))
        tags = ", ".join(f"{key}={value}" for key, value in each.tags.items())
        shared = namesakes[each.project, each.stage, each.region] > 1
        yield [
            Span(f"{each.project} · {each.stage}", "bold"),
            Span(f"  id {each.id or 'none'}" if shared else ""),
            Span(f"  {each.region}"),
            Span(f"  {dollars(each.month)} per month", "yellow" if each.month >= 1 else ""),
            Span(f"  {tags}" if tags else ""),
            Span(f"  {kinds}", "dim"),
        ]


def document_of(found: StageStatus) -> dict[str, Any]:
    """Return the status of a stage for programs, without the values of its variables."""
    document = plain(asdict(found))
    if document["runtime"]:
        document["runtime"]["environment"] = sorted(document["runtime"]["environment"])
    document["cost"]["dollars"] = round(found.cost.dollars, 4)
    return document | {"deployed": found.stack is not None}


def plain(value: Any) -> Any:
    """Return the value as JSON takes it, with times in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: plain(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in cast("list[Any]", value)]
    return value


def short_digest(image: str) -> str:
    """Return the beginning of an image's digest, long enough to identify it."""
    digest = image.rpartition("@")[2]
    return digest[: len("sha256:") + 12] if digest.startswith("sha256:") else image


def local_time(moment: datetime | None) -> str:
    """Return a moment in the time zone of this machine; "?" if it is not known."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "?"
