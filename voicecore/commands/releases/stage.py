"""Owns a stage whose versions a command reads: its account, its stack and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from voicecore.aws import session
from voicecore.aws.login import AwsLogin
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.releases.history import StageVersions, read_versions, require_deployed
from voicecore.cloud.resources.cloudformation import CloudFormation, OnEvent
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.console.context import Context
from voicecore.console.output import Line, Span
from voicecore.options.releases.promote import PromoteOptions
from voicecore.options.releases.rollback import RollbackOptions
from voicecore.options.releases.versions import VersionsOptions
from voicecore.project import aws_names
from voicecore.project.known_versions import keep_known
from voicecore.project.project import Project, load_project

ReleaseOptions = VersionsOptions | PromoteOptions | RollbackOptions


@dataclass(frozen=True)
class ReleasedStage:
    """A stage in its account."""

    project: Project
    deployment: Deployment
    aws: Aws
    cloud: CloudFormation
    tasks: TaskGroup

    @property
    def title(self) -> Line:
        """What the stage is, and where."""
        return [
            Span(f"{self.deployment.name} · {self.deployment.stage.name}", "bold"),
            Span(f"  account {self.aws.account}  region {self.aws.region}"),
        ]

    @property
    def document(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "project": self.deployment.name,
            "stage": self.deployment.stage.name,
            "account": self.aws.account,
            "region": self.aws.region,
        }

    def read(self, wait: OnEvent | None = None) -> StageVersions:
        """Return its versions; with `wait`, after operations in progress, which it takes.

        Raises StageNotDeployed.
        """
        name, stage = self.deployment.name, self.deployment.stage.name
        stack = aws_names.stack_name_for(name, stage)
        deployed = self.cloud.wait(stack, wait) if wait else self.cloud.find(stack)
        deployed = require_deployed(deployed, name, stage)
        found = read_versions(self.aws, self.cloud, self.tasks, deployed, (name, stage))
        keep_known(self.project.local, stage, [each.version.number for each in found.versions])
        return found


def open_stage(
    context: Context, options: ReleaseOptions, tasks: TaskGroup, again: str
) -> ReleasedStage:
    """Connect to the account of a stage. Raises BadProject, BadRegion and WrongAccount."""
    project = load_project(context.cwd / (options.project or ""))
    deployment = deployment_of(project, options.stage)
    session.check_region(options.region)
    login, stage = AwsLogin(options.profile, context.interactive), deployment.stage
    aws = login.connect(options.region or stage.region, stage.account)
    cloud = CloudFormation(
        aws.client("cloudformation"),
        deployment.owner,
        again,
        tasks.sleep,
        service_role=stage.service_role,
    )
    return ReleasedStage(project, deployment, aws, cloud, tasks)
