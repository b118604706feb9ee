"""`voicecore invite`: print a link to the session server's page, or revoke one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from voicecore.aws import session
from voicecore.aws.errors import translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.cloud.deploy.parts import server_health
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.contract.invites import invite_id
from voicecore.options.invite import InviteOptions
from voicecore.project import aws_names
from voicecore.project.defaults import INVITE_HOURS
from voicecore.project.project import load_project


class BadInvite(VoicecoreError):
    """The invite to revoke is not one."""


def run(context: Context, options: InviteOptions) -> ExitCode:
    """Create an invite, and print the URL of the server's page with it."""
    project = load_project(context.cwd / (options.project or ""))
    stage = project.stage(options.stage)
    revoked = invite_id(options.revoke) if options.revoke is not None else None
    ended: int | None = None
    if options.revoke is not None and not revoked:
        raise BadInvite(
            f"{options.revoke!r} is neither a link with an invite nor the ID of one.",
            "Give the link that `voicecore invite` printed, in quotes, or its ID of 8 characters.",
            ExitCode.USAGE,
        )
    session.check_region(options.region)
    again = typed("invite", options)
    with translated_errors(again, options.profile):
        login = AwsLogin(options.profile, context.interactive)
        aws = login.connect(options.region or stage.region, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), project.owner, again)
        stack = server_health.find_deployed(aws, cloud, project.name, stage.name)
        if revoked:
            ended = server_health.revoke_invite(aws, stack, revoked)
        else:
            page = server_health.invite_url(aws, stack, options.hours)
            _show(context, page, options)
    if revoked and options.json:
        context.output.json({"revoked": revoked, "ended": ended})
    elif revoked:
        context.output.note(revocation_text(revoked, ended, stage.name))
    return ExitCode.OK


def revocation_text(id: str, ended: int | None, stage: str) -> str:
    """Return what a revocation did; `ended` is None if the server is of an earlier version."""
    revoked = f"Revoked the invite {id}: it starts and continues no session."
    if ended is None:
        return (
            f"{revoked} Calls in progress last until their callers hang up: an earlier version "
            "deployed the server. To end them, deploy it and revoke the invite again:  "
            f"voicecore deploy --server{aws_names.stage_flag(stage)}"
        )
    sessions = "session" if ended == 1 else "sessions"
    return f"{revoked} Ended {ended} open {sessions}." if ended else f"{revoked} None was open."


def _show(context: Context, page: str, options: InviteOptions) -> None:
    until, id = datetime.now(UTC) + timedelta(hours=options.hours), invite_id(page)
    if options.json:
        shown = {"page": page, "id": id, "until": until.isoformat(timespec="seconds")}
        context.output.json(shown)
        return
    context.output.data(page)
    context.output.note(
        f"Works until {until.astimezone():%Y-%m-%d %H:%M}. To revoke it:  "
        + typed("invite", replace(options, hours=INVITE_HOURS, revoke=id))
    )
