"""Owns the steps of a deploy: read, plan, apply, verify and release, over all parts of a stage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.catalog.platforms import V2
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.parts.image_build import ImageBuild, ImageSource
from voicecore.cloud.deploy.parts.part import Part, PartContext
from voicecore.cloud.deploy.parts.stage_parts import parts_for
from voicecore.cloud.deploy.parts.state_reader import DeployReader
from voicecore.cloud.deploy.plan import DeployPlan
from voicecore.cloud.deploy.progress import (
    BufferedProgress,
    announce_busy_stacks,
    show_progress,
)
from voicecore.cloud.deploy.request import DeployRequest
from voicecore.cloud.preflight.checks import CheckOutcome, require_passed, run_checks
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.missing import missing_resources
from voicecore.console.output import Output

_RUNTIME = "AWS::BedrockAgentCore::Runtime"


class Deployer:
    """One deploy of a stage.

    `again` is the command to repeat; `tasks` runs the work that can be concurrent.
    """

    def __init__(
        self,
        request: DeployRequest,
        aws: Aws,
        tasks: TaskGroup,
        images: ImageSource,
        output: Output,
        again: str,
    ) -> None:
        cloud = CloudFormation(
            aws.client("cloudformation"),
            request.deployment.owner,
            again,
            tasks.sleep,
            find_missing=partial(missing_resources, aws),
            service_role=request.deployment.stage.service_role,
        )
        reader = DeployReader(aws, cloud, announce_busy_stacks(output))
        self._progress = BufferedProgress(tasks.raise_if_cancelled)
        self._context = PartContext(request, aws, cloud, tasks, reader, images, self._progress)
        self._all = parts_for(self._context)
        self._parts: Sequence[Part] = ()
        self._output = output
        self._again = again
        self._applied = False
        self.stacks: dict[str, DeployedStack] = {}
        """The deployed stack of each part, by the part's name."""

    def read(self) -> None:
        """Read the current state of all parts, and look for their images."""
        tasks = self._context.tasks
        with self._output.step("Reading what is deployed"):
            for reading in [tasks.start(part.read) for part in self._all.parts]:
                tasks.result(reading)
        self._parts = [part for part in self._all.parts if part.needed]
        for part in self._parts:
            part.image.look_up()
            if part.deployed:
                self.stacks[part.name] = part.deployed

    def plan(self, build_early: bool, skip: Collection[str] = ()) -> DeployPlan | None:
        """Return what would change, after preflight checks; None if everything is up to date.

        With `build_early`, images are built meanwhile, and pushed once the checks have passed.
        `skip` are the names of checks to leave out.
        """
        if build_early:
            self._start_builds()
        self._check(skip)
        if all(part.up_to_date for part in self._parts):
            return None
        for part in self._parts:
            part.wait_until_ready(self._output)
        if build_early:
            self._all.shared.repository.open(self._all.shared.repository.existing)
        with self._output.step("Comparing desired and current state"):
            stacks = [stack for part in self._parts for stack in part.plan()]
            at_once = self._all.server.requests_at_once
            platform = self._context.request.deployment.stage.platform
            return DeployPlan(tuple(stacks), tuple(self._cost_per_minute()), at_once, platform)

    def apply(self) -> None:
        """Build and push images, and bring all parts to their desired state, in order."""
        self._start_builds()
        notes = {_RUNTIME: "with its snapshot, which takes minutes"} if self._snapshots else {}
        with show_progress(self._output, self._again, notes) as board:
            self._progress.show(board.on_progress)
            for part in self._parts:
                self.stacks[part.name] = part.apply(self.stacks, board)
        self._applied = True

    def verify(self) -> None:
        """Wait until all parts work; if nothing was applied, only restore changed settings."""
        for part in self._parts:
            if self._applied:
                with self._output.step(part.verifying):
                    part.verify(self.stacks[part.name], changed=True)
            else:
                part.verify(self.stacks[part.name], changed=False)

    def release(self) -> None:
        """Let callers reach what was applied, now that all parts are verified."""
        agent, stack = self._all.agent, self.stacks[self._all.agent.name]
        if agent.must_release(stack):
            with self._output.step("Moving callers to the new version"):
                self.stacks[agent.name] = agent.release(stack)

    @property
    def held_back(self) -> bool:
        """True when callers do not reach the version that was verified; known after `release`."""
        agent = self._all.agent
        return agent.held_back(self.stacks[agent.name])

    @property
    def _snapshots(self) -> bool:
        return self._context.request.deployment.stage.platform == V2

    def _check(self, skip: Collection[str]) -> None:
        """Run the preflight checks of all parts; print warnings.

        Raises PreflightFailed, or what is wrong with an image's files if that is all.
        """
        with self._output.step("Running preflight checks"):
            checks = [c for part in self._parts for c in part.checks() if c[0] not in skip]
            results = run_checks(checks, self._context.tasks, self._again)
            refusals = [refusal for part in self._parts if (refusal := part.image.refusal)]
            require_passed(results, self._again, refusals)
            warnings = [warning for part in self._parts for warning in part.warnings()]
        for result in results:
            if result.outcome is CheckOutcome.UNKNOWN:
                self._output.warn(f"{result.check}: {result.message}")
        skipped = [f"{name}: skipped by --skip-check; nothing was checked" for name in skip]
        for warning in (*skipped, *warnings, *self._context.request.warnings):
            self._output.warn(warning)

    def _start_builds(self) -> None:
        previous: ImageBuild | None = None
        for part in self._parts:
            part.image.start(after=previous)
            previous = part.image

    def _cost_per_minute(self) -> list[prices.CostItem]:
        server = self._all.server if self._all.server.needed else None
        return prices.cost_per_minute(
            self._context.request.deployment,
            server=server is not None,
            carries_calls=server is not None and server.carries_calls,
            table=server is not None and server.has_table,
        )
