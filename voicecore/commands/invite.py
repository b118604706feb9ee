"""`voicecore invite`: the address of the session server's page in AWS, good for some hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voicecore import names
from voicecore.cloud import hosting, session
from voicecore.cloud.cloudformation import CloudFormation
from voicecore.context import Context
from voicecore.errors import ExitCode
from voicecore.project import load_project


@dataclass(frozen=True)
class InviteOptions:
    """The flags of `voicecore invite`; None means: not said."""

    project: Path | None = None
    stage: str = names.DEFAULT_STAGE
    hours: float = hosting.INVITE_HOURS
    region: str | None = None
    profile: str | None = None
    json: bool = False


def run(context: Context, options: InviteOptions) -> ExitCode:
    """Ask the server for an invite, and print the address that has it."""
    project = load_project(options.project or context.cwd)
    stage = project.stage(options.stage)
    session.check_region(options.region)
    with session.refusals("voicecore invite", options.profile):
        aws = session.connect(options.region or stage.region, options.profile)
        session.check_account(aws.identity, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), "voicecore invite")
        live = hosting.find(aws, cloud, project.name, stage.name)
        page = hosting.page_for(aws, live, options.hours)
    until = datetime.now(UTC) + timedelta(hours=options.hours)
    if options.json:
        context.output.json({"page": page, "until": until.isoformat(timespec="seconds")})
    else:
        context.output.data(page)
        context.output.note(f"Good until {until.astimezone():%Y-%m-%d %H:%M}.")
    return ExitCode.OK
