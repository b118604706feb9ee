"""`voicecore invite`: print a link to the session server's page that works for some hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from voicecore.aws import session
from voicecore.aws.errors import translated_errors
from voicecore.cloud.deploy.parts import server_health
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.options.invite import InviteOptions
from voicecore.project.project import load_project


def run(context: Context, options: InviteOptions) -> ExitCode:
    """Create an invite, and print the URL of the server's page with it."""
    project = load_project(options.project or context.cwd)
    stage = project.stage(options.stage)
    session.check_region(options.region)
    with translated_errors("voicecore invite", options.profile):
        aws = session.connect(options.region or stage.region, options.profile)
        session.check_account(aws.identity, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), "voicecore invite")
        stack = server_health.find_deployed(aws, cloud, project.name, stage.name)
        page = server_health.invite_url(aws, stack, options.hours)
    until = datetime.now(UTC) + timedelta(hours=options.hours)
    if options.json:
        context.output.json({"page": page, "until": until.isoformat(timespec="seconds")})
    else:
        context.output.data(page)
        context.output.note(f"Works until {until.astimezone():%Y-%m-%d %H:%M}.")
    return ExitCode.OK
