"""`voicecore invite`: the address of the session server's page in AWS, good for some hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from voicecore.aws import session
from voicecore.aws.errors import translated_errors
from voicecore.cloud.deploy import server_part
from voicecore.cloud.deploy.cloudformation import CloudFormation
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.options.invite import InviteOptions
from voicecore.project.project import load_project


def run(context: Context, options: InviteOptions) -> ExitCode:
    """Ask the server for an invite, and print the address that has it."""
    project = load_project(options.project or context.cwd)
    stage = project.stage(options.stage)
    session.check_region(options.region)
    with translated_errors("voicecore invite", options.profile):
        aws = session.connect(options.region or stage.region, options.profile)
        session.check_account(aws.identity, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), "voicecore invite")
        live = server_part.find(aws, cloud, project.name, stage.name)
        page = server_part.page_for(aws, live, options.hours)
    until = datetime.now(UTC) + timedelta(hours=options.hours)
    if options.json:
        context.output.json({"page": page, "until": until.isoformat(timespec="seconds")})
    else:
        context.output.data(page)
        context.output.note(f"Good until {until.astimezone():%Y-%m-%d %H:%M}.")
    return ExitCode.OK
