"""`voicecore deploy`: from a project to an agent in AWS that answers calls."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voicecore.aws import session
from voicecore.aws.session import Aws
from voicecore.aws.task_group import Together
from voicecore.catalog.transports import TRANSPORTS
from voicecore.cloud.deploy import agent_part, ecs_service, export, preflight, prices, server_part
from voicecore.cloud.deploy.agent_part import Standing, Wanted
from voicecore.cloud.deploy.cloudformation import CloudFormation, Live
from voicecore.cloud.deploy.plan import Plan, lines
from voicecore.cloud.deploy.preflight import Finding, Verdict
from voicecore.cloud.deploy.progress import Relay, begun, waiting
from voicecore.cloud.deploy.server_step import Images, Served, Serving
from voicecore.cloud.stacks import turn_channels, zones
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.cloud.stacks.env_split import Environment, environment_of, server_environment_of
from voicecore.cloud.stacks.images_stack import REPOSITORY_URI, images_stack
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.commands import add
from voicecore.commands.invite import InviteOptions
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Output, Span
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of
from voicecore.project.project import AGENT, SERVER, Project, load_project, mistakes_in
from voicecore.project.schema import PUBLIC, VPC, did_you_mean, one_of

EXPORTED = "cloudformation"
"""The folder in the project that --export writes to."""


@dataclass(frozen=True)
class DeployOptions:
    """The flags of `voicecore deploy`; None means: not said."""

    project: Path | None = None
    transport: str | None = None
    stage: str = aws_names.DEFAULT_STAGE
    region: str | None = None
    profile: str | None = None
    ha: bool = False
    server: bool = False
    """Whether the session server is to stand, too; one that stands is kept current anyway."""
    message: str = ""
    export: bool = False
    dry_run: bool = False
    yes: bool = False
    json: bool = False


class BadOption(VoicecoreError):
    """A flag says something that cannot be."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.USAGE)


def run(context: Context, options: DeployOptions, images: Images) -> ExitCode:
    """Show what a deploy would change and cost; once agreed, do it."""
    started = time.monotonic()
    project = _with_transport(context, options, load_project(context.cwd / (options.project or "")))
    deployment = deployment_for(project, options)
    variables = dotenv_of(project.agent)
    settings = environment_of(variables, deployment.stage.region, deployment.uses)
    limits = turn_channels.require_relay(deployment, variables)
    server = _server_of(project, deployment) if options.server else None
    if options.export:
        return _export(context, project, deployment, settings, server)
    again = typed("deploy", options)
    with session.refusals(again, options.profile), Together() as together:
        aws = session.connect(deployment.stage.region, options.profile)
        _say_where(context.output, deployment, aws)
        session.check_account(aws.identity, deployment.stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), again, together.pause)

        tell = waiting(context.output)
        hosted = together.start(lambda: server_part.read(aws, cloud, deployment, tell))
        standing = agent_part.read(aws, cloud, together, deployment, tell)
        repository: Future[str] = Future()
        relay = Relay(together.go_on)
        looked = together.start(lambda: images.look(project, _repository(standing), AGENT))
        serving = None
        if server or together.result(hosted).live:
            serving = Serving(
                aws,
                cloud,
                together,
                _in_network(server or _server_of(project, deployment), standing),
                together.result(hosted),
                together.start(lambda: images.look(project, _repository(standing), SERVER)),
                standing.agent,
                _repository(standing),
            )
            server_part.require_same_kind(serving.wanted, serving.standing)

        def build() -> str:
            made = together.result(looked)
            return made.there or made.build(lambda: together.result(repository), relay)

        # Where all is agreed already, the image waits with nothing but its push.
        building = together.start(build) if options.yes and not options.dry_run else None
        with context.output.step("Looking whether anything would fail"):
            checks = preflight.checks_for(aws, deployment, standing.stacks)
            if serving:
                checks += preflight.checks_of_server(
                    aws, deployment, serving.wanted.carries_calls, serving.standing.live is None
                )
            findings = preflight.look(checks, together, again)
            preflight.refuse(findings)
            chosen = _zones(aws, deployment, standing)
            wanted = agent_part.wanted_of(deployment, settings, chosen, standing)
            made = together.result(looked)
            image = f"{_repository(standing)}@{made.there}" if made.there else ""
        unused = _of_network(agent_part.unused_network(wanted, standing))
        limits += _of_keys(project, deployment, variables)
        up = serving is None or serving.up
        of_server = (serving.note, "" if up else serving.wanted.note) if serving else ()
        notes = [made.note, *of_server, unused, _of_calls(deployment), *limits]
        _warn(context.output, findings, standing, filter(None, notes))

        agent = standing.agent if agent_part.is_up(cloud, wanted, standing, image) else None
        if agent and up:
            agent_part.finish(aws, deployment, agent, together.pause)
            served = _served(context, options, aws, deployment, serving and serving.standing.live)
            return _report(context, options, agent, wanted, None, aws, started, served)

        if serving and serving.waits:
            context.output.say(f"{serving.waits} It is safe to press Ctrl-C, and to come later.")
            with context.output.step("Waiting for them"):
                serving = serving.drained(tell)

        if (building or agent) and (known := _repository(standing)):
            repository.set_result(known)

        with context.output.step("Comparing with what stands"):
            parts = agent_part.plan(cloud, wanted, standing, image)
            parts += (serving.plan(),) if serving else ()
            bridged = bool(serving and serving.wanted.carries_calls)
            minute = prices.a_minute(deployment, bool(serving), bridged)
            plan = Plan(parts, tuple(minute))
        context.output.lines(lines(plan))
        if options.dry_run:
            context.output.say("Nothing was changed.")
            return _report(context, options, None, wanted, plan, aws, started)
        _require_agreement(context, options, again)

        building = building or together.start(build)
        image_of_server = serving.build(building, repository, relay) if serving else None
        with begun(context.output, again) as board:
            relay.show(board.advance)
            live = agent or agent_part.bring_up(
                aws,
                cloud,
                together,
                wanted,
                standing,
                building,
                repository,
                options.message,
                board.tell,
            )
            if serving and image_of_server:
                digest = together.result(image_of_server)
                where = together.result(repository)
                served_by = serving.bring_up(digest, where, live, board.tell, board.advance)
            else:
                served_by = None
        with context.output.step("Seeing that the runtime is ready"):
            agent_part.finish(aws, deployment, live, together.pause)
        if served_by:
            with context.output.step("Seeing that the session server answers"):
                server_part.require_health(served_by, together.pause)
        served = _served(context, options, aws, deployment, served_by)
    return _report(context, options, live, wanted, plan, aws, started, served)


def _server_of(project: Project, deployment: Deployment) -> server_part.Wanted:
    """The session server of a stage. Raises what is wrong with its variables, or with the place."""
    region = deployment.stage.region
    settings = server_environment_of(dotenv_of(project.server), region, deployment.transports)
    server_part.require_possible(deployment, settings)
    return server_part.Wanted(deployment, settings)


def _in_network(server: server_part.Wanted, standing: Standing) -> server_part.Wanted:
    """The server in the network that stands, if one does."""
    return replace(server, network=standing.network.outputs) if standing.network else server


def _served(
    context: Context, options: DeployOptions, aws: Aws, deployment: Deployment, live: Live | None
) -> Served | None:
    """The server, with an invite for who sits at the terminal: no log shall have one."""
    if live is None:
        return None
    served = Served(live, phones=deployment.phones if server_part.on_ecs(live) else ())
    if server_part.on_ecs(live):
        going = live.status == "UPDATE_IN_PROGRESS"
        draining = ecs_service.find(aws, live.name, calls=True) if going else None
        served = replace(served, draining=draining, record=server_part.record_for(live))
    spoken = any(transport.browser for transport in deployment.transports)
    if options.json or not context.interactive or not spoken:
        return served
    return replace(served, page=server_part.page_for(aws, live))


def _with_transport(context: Context, options: DeployOptions, project: Project) -> Project:
    """The project, with a transport that it lacked where somebody agreed to that.

    --yes is about AWS: files change only for who has seen how.
    """
    lacks = options.transport in TRANSPORTS and options.transport not in project.transports
    if not lacks or not context.interactive or options.json or options.dry_run or options.export:
        return project
    title = TRANSPORTS[str(options.transport)].title
    context.output.say(f"{project.name} has no {title} yet. To add it, this would change:")
    adding = add.AddOptions(str(options.transport), project.root)
    add.run(context, adding, typed("deploy", options))
    return load_project(project.root)


def deployment_for(project: Project, options: DeployOptions) -> Deployment:
    """The stage that the flags mean. Raises BadOption, and BadProject for a stage that is none."""
    deployment = deployment_of(project, options.stage)
    if options.transport:
        chosen = tuple(t for t in deployment.transports if t.name == options.transport)
        if not chosen:
            known = tuple(TRANSPORTS)
            near = did_you_mean(options.transport, known) or one_of(known)
            raise BadOption(
                f"The project has no transport {options.transport!r}; "
                f"it has {', '.join(project.transports)}.",
                f"Add it:  voicecore add {options.transport}"
                if options.transport in known
                else f"There is none of that name{near}",
            )
        deployment = replace(deployment, transports=chosen)
    if options.region:
        _check_region(project, options.region)
        deployment = replace(deployment, stage=replace(deployment.stage, region=options.region))
    if options.ha:
        if not deployment.makes_network:
            raise BadOption(
                "--ha is about the network that voicecore makes, and this stage has none.",
                'With network = "vpc" in voicecore.toml it has one.',
            )
        deployment = replace(deployment, vpc=replace(deployment.vpc, ha=True))
    return deployment


def _check_region(project: Project, region: str) -> None:
    answers = {
        "name": project.name,
        "transports": list(project.transports),
        "pipeline": project.pipeline,
        "services": project.services,
        "region": region,
    }
    for mistake in mistakes_in(answers):
        said = f"--{mistake.key} {mistake.message}"
        raise BadOption(said if said.endswith("?") else f"{said}.")


def _export(
    context: Context,
    project: Project,
    deployment: Deployment,
    settings: Environment,
    server: server_part.Wanted | None,
) -> ExitCode:
    """Write templates and policies, for those who deploy by other means. Asks AWS nothing."""
    chosen = zones.SUPPORTED[deployment.stage.region][: zones.WANTED]
    wanted = agent_part.wanted_of(deployment, settings, chosen, Standing())
    shared = [images_stack(deployment)]
    if deployment.makes_network:
        shared.append(network_stack(deployment, chosen))
    folder = project.root / EXPORTED
    folder.mkdir(exist_ok=True)
    stacks = [*shared, wanted.agent("", None), *([server.stack("", "", "")] if server else [])]
    bridged = bool(server and server_part.carries_calls(deployment, server.settings))
    files = export.files_of(stacks) | export.policies_of(deployment, bridged)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        context.output.data(str(folder / name))
    return ExitCode.OK


def _repository(standing: Standing) -> str:
    """Where images are pushed to, if that is there already; else nothing."""
    if standing.images is None or not standing.images.stands:
        return ""
    return standing.images.outputs[REPOSITORY_URI]


def _of_calls(deployment: Deployment) -> str:
    """What the chosen network does to calls; empty for nothing."""
    if not deployment.needs_turn or deployment.network != PUBLIC:
        return ""
    return (
        "In AgentCore's PUBLIC network calls go by TLS, as no UDP gets out: a lost packet holds up "
        f'those behind it. Smoother, for the price of a NAT gateway:  network = "{VPC}"'
    )


def _of_keys(project: Project, deployment: Deployment, variables: Mapping[str, str]) -> list[str]:
    """Which keys of those who carry the calls are not where they are needed."""
    server = dotenv_of(project.server)
    keyed = [transport for transport in deployment.transports if transport.key]
    return [
        f"agent/.env has no {t.key}: the agent takes no calls by telephone through {t.title}."
        for t in keyed
        if not variables.get(t.key)
    ] + [
        f"server/.env has no {t.key}, without which a session server gets nobody in by {t.title}."
        for t in keyed
        if not server.get(t.key)
    ]


def _zones(aws: Aws, deployment: Deployment, standing: Standing) -> tuple[str, ...]:
    """The zones for a network, where one is made; one that stands keeps its own."""
    if not deployment.makes_network:
        return ()
    if standing.network:
        return zones.SUPPORTED[aws.region][: zones.WANTED]
    return zones.choose(aws.region, preflight.zones_of(aws))


def _say_where(output: Output, deployment: Deployment, aws: Aws) -> None:
    identity = aws.identity
    output.lines(
        [
            [
                Span(f"{deployment.name} · {deployment.stage.name}", "bold"),
                Span(f"  account {identity.account}  region {aws.region}"),
                Span(f"  as {identity.arn.split(':', 5)[5]}", "dim"),
            ]
        ]
    )


def _of_network(unused: str) -> str:
    if not unused:
        return ""
    return (
        f"The network {unused} goes on costing, and this stage does not need it. "
        "When no other does, remove it:  voicecore destroy --only-network"
    )


def _warn(
    output: Output, findings: Iterable[Finding], standing: Standing, notes: Iterable[str]
) -> None:
    for finding in findings:
        if finding.verdict is Verdict.UNKNOWN:
            output.warn(f"{finding.check}: {finding.message}")
    for change in agent_part.changes_by_hand(standing):
        output.warn(f"The runtime was changed by hand: {change}. This deploy sets it right.")
    for note in notes:
        output.warn(note)


def _require_agreement(context: Context, options: DeployOptions, again: str) -> None:
    if options.yes:
        return
    if options.json or not context.interactive:
        raise BadOption("Nothing was changed: nobody agreed.", f"Agree:  {again} --yes")
    from voicecore.scaffold import questions

    if not questions.confirm("Do this?"):
        raise VoicecoreError("Nothing was changed in AWS.")


def _report(
    context: Context,
    options: DeployOptions,
    live: Live | None,
    wanted: Wanted,
    plan: Plan | None,
    aws: Aws,
    started: float,
    served: Served | None = None,
) -> ExitCode:
    """What stands now, and what to type next."""
    seconds = time.monotonic() - started
    if options.json:
        context.output.json(_document(options, live, wanted, plan, aws, seconds, served))
        return ExitCode.OK
    if live is None:
        return ExitCode.OK
    name = f"{wanted.deployment.name} · {wanted.deployment.stage.name}"
    title, command = _next(options, live, wanted.deployment, bool(served))
    did = f"is up, {seconds:.0f} s" if plan else "is up already; nothing was changed"
    context.output.lines(
        [
            [Span("✓ ", "green"), Span(name, "bold"), Span(f" {did}")],
            [Span(f"  {live.outputs['RuntimeArn']}", "dim")],
            [],
            *([[Span(f"{title}  "), Span(command, "bold")]] if command else []),
            *(_lines_of(options, wanted.deployment, served, aws.region) if served else ()),
        ]
    )
    return ExitCode.OK


def _lines_of(
    options: DeployOptions, deployment: Deployment, served: Served, region: str
) -> Iterator[Line]:
    """Where the server is, and how to get in."""
    inviting = InviteOptions(
        options.project, options.stage, region=options.region, profile=options.profile
    )
    for phone in served.phones:
        yield [
            Span(f"{phone.title + ':':<14}"),
            Span(phone.webhook(served.url), "bold"),
            Span("  for its calls", "dim"),
        ]
    if any(transport.browser for transport in deployment.transports):
        yield [Span("In a browser: "), Span(served.page or typed("invite", inviting), "bold")]
    if served.page:
        yield [Span(f"  for whom you send it to, for {server_part.INVITE_HOURS:g} h", "dim")]
    yield [Span("Sessions:     "), Span(f"{served.url}start"), Span("  with the key of", "dim")]
    yield [Span(f"  {served.key(options.profile, region)}", "dim")]
    if served.record:
        yield [Span("The domain does not lead there yet. Where it is kept, make this:", "yellow")]
        yield [Span(f"  {deployment.stage.server.domain}  CNAME  {served.record}", "bold")]
    if tasks := served.draining:
        minutes = deployment.stage.server.drain_minutes
        yield [
            Span(f"New calls go to the new server; about {tasks.open_calls}. Older ones stay on")
        ]
        yield [Span(f"the old one, for {minutes} minutes at most. AWS sees to that by itself.")]


def _next(
    options: DeployOptions, live: Live, deployment: Deployment, served: bool
) -> tuple[str, str]:
    """What to do now, and the command for it; both empty where callers can come."""
    stage = [] if options.stage == aws_names.DEFAULT_STAGE else ["--stage", options.stage]
    profile = f"AWS_PROFILE={shlex.quote(options.profile)} " if options.profile else ""
    if any(transport.in_talk for transport in deployment.transports):
        where = ["--arn", live.outputs["RuntimeArn"]] if options.region else stage
        return "Speak to it:", profile + shlex.join(["voicecore", "talk", "--remote", *where])
    if served:
        return "", ""
    return "Let callers in:", profile + shlex.join(["voicecore", "deploy", "--server", *stage])


def _document(
    options: DeployOptions,
    live: Live | None,
    wanted: Wanted,
    plan: Plan | None,
    aws: Aws,
    seconds: float,
    served: Served | None,
) -> dict[str, Any]:
    _, command = _next(options, live, wanted.deployment, bool(served)) if live else ("", "")
    return {
        "project": wanted.deployment.name,
        "stage": wanted.deployment.stage.name,
        "account": aws.account,
        "region": aws.region,
        "changed": bool(live and plan),
        "plan": plan.json if plan else None,
        "stack": _stack_document(live) if live else None,
        "server": served.document(options.profile, aws.region) if served else None,
        "seconds": round(seconds, 1),
        "calls": aws.calls,
        "next": [command] if command else [],
    }


def _stack_document(live: Live) -> dict[str, Any]:
    return asdict(live) | {"created": str(live.created), "updated": str(live.updated)}
