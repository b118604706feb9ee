"""Owns a stage whose sessions a command reads or stops: its account, runtime and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from voicecore.aws import session
from voicecore.aws.login import AwsLogin
from voicecore.aws.runtime_sessions import sessions_in
from voicecore.aws.session import Aws
from voicecore.cloud.observe import logs, sessions
from voicecore.cloud.observe.sessions import LoggedSession
from voicecore.cloud.releases.history import require_deployed
from voicecore.cloud.resources import inventory
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.console.context import Context
from voicecore.options.sessions.list import SessionsOptions
from voicecore.options.sessions.stop import StopOptions
from voicecore.project import aws_names
from voicecore.project.project import load_project


@dataclass(frozen=True)
class StageSessions:
    """The sessions of a stage, read once."""

    deployment: Deployment
    aws: Aws
    stack: DeployedStack
    now: datetime
    """Time by AWS's clock."""
    found: Sequence[LoggedSession]
    """Newest first."""

    @property
    def open(self) -> list[LoggedSession]:
        """Those that have not ended, as far as the log tells."""
        return [each for each in self.found if each.ended is None]

    def stop(self, one: LoggedSession) -> bool:
        """Stop a session; return False if it had ended."""
        return sessions_in(self.aws, self.stack.outputs["RuntimeArn"], one.endpoint).stop(one.id)


def read_sessions(
    context: Context, options: SessionsOptions | StopOptions, again: str
) -> StageSessions:
    """Return the sessions of a stage. Raises StageNotDeployed, BadProject and WrongAccount."""
    project = load_project(context.cwd / (options.project or ""))
    deployment = deployment_of(project, options.stage)
    stage = deployment.stage
    session.check_region(options.region)
    login = AwsLogin(options.profile, context.interactive)
    aws = login.connect(options.region or stage.region, stage.account)
    cloud = CloudFormation(aws.client("cloudformation"), deployment.owner, again)
    name = aws_names.stack_name_for(project.name, stage.name)
    stack = require_deployed(cloud.find(name), project.name, stage.name)
    now = logs.aws_now(aws)
    found = _logged(aws, deployment, stack, now)
    found.sort(key=lambda each: each.started, reverse=True)
    return StageSessions(deployment, aws, stack, now, found)


def _logged(
    aws: Aws, deployment: Deployment, stack: DeployedStack, now: datetime
) -> list[LoggedSession]:
    """Return the sessions in the logs of the runtime's endpoints."""
    prefix = aws_names.log_group_for(stack.outputs["RuntimeId"], "")
    groups = inventory.log_groups(aws, deployment.name, deployment.stage.name)
    client, since = aws.client("logs"), now - logs.LONGEST_SESSION
    found: list[LoggedSession] = []
    for name in (group.name for group in groups if group.name.startswith(prefix)):
        entries = logs.read_matching(client, name, sessions.PATTERN, since, now + logs.LATE)
        found += sessions.sessions_in(entries, name.removeprefix(prefix))
    return found
