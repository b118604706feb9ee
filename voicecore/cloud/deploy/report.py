"""Owns what a deploy reports: what is deployed, how to reach it, and what to run next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from voicecore.aws.session import Aws
from voicecore.catalog.phones import Phone
from voicecore.cloud.deploy.parts.server_health import invite_url, missing_record
from voicecore.cloud.deploy.parts.server_state import on_ecs
from voicecore.cloud.deploy.plan import DeployPlan
from voicecore.cloud.resources import ecs_service
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.ecs_service import EcsService
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.server_stack import URL
from voicecore.console.output import Line, Span
from voicecore.project import aws_names
from voicecore.project.defaults import INVITE_HOURS


@dataclass(frozen=True)
class ServerReport:
    """A deployed session server, as its operator needs to know it."""

    stack: DeployedStack
    page: str = ""
    """URL of its page with an invite; empty where it would end up in a log."""
    draining: EcsService | None = None
    """The service while old tasks keep their calls."""
    record: str = ""
    """Target of a DNS record that the domain still lacks; empty if it has it."""
    phones: tuple[Phone, ...] = ()
    """Phone providers whose calls pass through the server."""

    @property
    def url(self) -> str:
        """URL at which clients request sessions."""
        return self.stack.outputs[URL]


@dataclass(frozen=True)
class NextCommands:
    """The commands to run after a deploy."""

    title: str
    """Purpose of `command`; empty without one."""
    command: str
    invite: str
    """Prints the URL of the session server's page."""
    promote: str = ""
    """Moves callers to the new version; empty if they reach it."""


@dataclass(frozen=True)
class DeployReport:
    """The result of a deploy."""

    deployment: Deployment
    aws: Aws
    plan: DeployPlan | None
    """None when nothing changed."""
    agent: DeployedStack | None
    """None after a dry run."""
    server: ServerReport | None
    seconds: float
    next: NextCommands


def server_report(
    aws: Aws, deployment: Deployment, stack: DeployedStack, with_invite: bool
) -> ServerReport:
    """Return the report of a deployed server; `with_invite` only where it is not logged."""
    has_page = any(transport.browser for transport in deployment.transports)
    page = invite_url(aws, stack) if with_invite and has_page else ""
    if not on_ecs(stack):
        return ServerReport(stack, page)
    updating = stack.status == "UPDATE_IN_PROGRESS"
    return ServerReport(
        stack,
        page,
        draining=ecs_service.find(aws, stack.outputs["Cluster"], count_calls=True)
        if updating
        else None,
        record=missing_record(stack),
        phones=deployment.phones,
    )


def lines(report: DeployReport) -> Iterator[Line]:
    """Yield the report for people."""
    if report.agent is None:
        return
    name = f"{report.deployment.name} · {report.deployment.stage.name}"
    result = "is up to date; nothing was changed"
    if report.plan:
        result = f"is deployed, {report.seconds:.0f} s"
    yield [Span("✓ ", "green"), Span(name, "bold"), Span(f" {result}")]
    endpoint = aws_names.endpoint_name_for(report.deployment.stage.name)
    yield [Span(f"  {report.agent.outputs['RuntimeArn']}  endpoint {endpoint}", "dim")]
    yield []
    if report.next.command:
        yield [Span(f"{report.next.title}  "), Span(report.next.command, "bold")]
    if report.next.promote:
        yield [Span("Move callers to it:  "), Span(report.next.promote, "bold")]
    if report.server:
        yield from _server_lines(report, report.server)


def _server_lines(report: DeployReport, server: ServerReport) -> Iterator[Line]:
    for phone in server.phones:
        yield [
            Span(f"{phone.title + ':':<14}"),
            Span(phone.webhook(server.url), "bold"),
            Span("  webhook for its calls", "dim"),
        ]
    if any(transport.browser for transport in report.deployment.transports):
        yield [Span("In a browser: "), Span(server.page or report.next.invite, "bold")]
    if server.page:
        yield [Span(f"  share this link; it works for {INVITE_HOURS:g} hours", "dim")]
    yield [Span("Sessions:     "), Span(f"{server.url}start"), Span("  with the key from", "dim")]
    yield [Span(f"  {_key_command(report, server)}", "dim")]
    if server.record:
        domain = report.deployment.stage.server.domain
        yield [Span("The domain does not point there yet. Create this DNS record:", "yellow")]
        yield [Span(f"  {domain}  CNAME  {server.record}", "bold")]
    if tasks := server.draining:
        minutes = report.deployment.stage.server.drain_minutes
        yield [Span(f"New calls go to the new server; about {tasks.open_calls}. Calls on the old")]
        yield [Span(f"server can go on for at most {minutes} minutes; then AWS stops it.")]


def document(report: DeployReport) -> dict[str, Any]:
    """Return the report for programs."""
    changed = bool(report.agent and report.plan)
    return {
        "project": report.deployment.name,
        "stage": report.deployment.stage.name,
        "account": report.aws.account,
        "region": report.aws.region,
        "changed": changed,
        "promoted": bool(report.agent) and not report.next.promote,
        "plan": report.plan.json if report.plan else None,
        "stack": _stack_document(report.agent) if report.agent else None,
        "server": _server_document(report, report.server) if report.server else None,
        "seconds": round(report.seconds, 1),
        "calls": report.aws.calls,
        "next": list(filter(None, (report.next.command, report.next.promote)))
        if report.agent
        else [],
    }


def _stack_document(stack: DeployedStack) -> dict[str, Any]:
    return asdict(stack) | {"created": str(stack.created), "updated": str(stack.updated)}


def _server_document(report: DeployReport, server: ServerReport) -> dict[str, Any]:
    known = {"url": server.url, "key": _key_command(report, server)}
    if not server.phones:
        return known
    return known | {
        "calls": {phone.name: phone.webhook(server.url) for phone in server.phones},
        "record": server.record or None,
        "draining": server.draining.draining if server.draining else 0,
    }


def _key_command(report: DeployReport, server: ServerReport) -> str:
    """Return the command that prints the session key for clients."""
    profile = f" --profile {report.aws.profile}" if report.aws.profile else ""
    return (
        f"aws secretsmanager get-secret-value --region {report.aws.region}{profile} --secret-id "
        f"{server.stack.outputs['SessionKeyArn']} --query SecretString --output text"
    )
