"""`voicecore destroy`: delete a stage and everything deploy created for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from voicecore.aws import session
from voicecore.aws.errors import AwsRefused, translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy import destroy, plan
from voicecore.cloud.deploy.destroy import HeldNetwork, Removal, ResourcesLeft
from voicecore.cloud.deploy.progress import show_progress
from voicecore.cloud.resources import inventory
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.image.builders import codebuild_resources
from voicecore.image.builders.codebuild_resources import Leftover
from voicecore.options.destroy import DestroyOptions
from voicecore.project import aws_names
from voicecore.project.identity import Owner
from voicecore.project.project import load_project

_DISTRIBUTION = "AWS::CloudFront::Distribution"


def run(context: Context, options: DestroyOptions) -> ExitCode:
    """Show what would be deleted and kept, ask, delete it, and check that nothing is left."""
    if options.network + options.only_network + options.only_server > 1:
        raise VoicecoreError(
            "--network deletes a stage with its network, --only-network the network alone, "
            "--only-server the session server alone.",
            "Use one of them.",
            ExitCode.USAGE,
        )
    project = load_project(context.cwd / (options.project or ""))
    deployment = deployment_of(project, options.stage)
    again = typed("destroy", options)
    session.check_region(options.region)
    with translated_errors(again, options.profile), TaskGroup() as tasks:
        login = AwsLogin(options.profile, context.interactive)
        stage = deployment.stage
        aws = login.connect(options.region or stage.region, stage.account)
        cloud = CloudFormation(
            aws.client("cloudformation"),
            deployment.owner,
            again,
            tasks.sleep,
            service_role=stage.service_role,
        )
        removal = _plan_removal(options, deployment, aws, cloud)
        builds = _build_resources(context.output, aws, removal, deployment.owner)
        if removal.empty and not builds:
            return _report_nothing(context, options, removal, aws)
        _show(context.output, removal, builds, cloud, aws, again)
        confirm(context, options, "Delete all of this?", "nothing was deleted", again)
        held = _delete(context, removal, builds, cloud, aws, tasks, again)
        if held and options.wait:
            _say_held(context.output, held, again)
            with show_progress(context.output, again) as board:
                destroy.wait_and_remove(aws, cloud, removal, board.on_event, tasks.sleep)
            held = None
        if held is None:
            with context.output.step("Checking that nothing is left"):
                _require_nothing_left(aws, removal, again)
    return _report(context, options, removal, held, again)


def _plan_removal(
    options: DestroyOptions, deployment: Deployment, aws: Aws, cloud: CloudFormation
) -> Removal:
    """Return what to delete. Raises StillUsed and ForeignResource."""
    project, stage = deployment.name, deployment.stage.name
    found = inventory.stacks(aws, deployment.owner)
    if options.only_network:
        users = destroy.network_users(cloud, project, found)
        removal = destroy.network_removal(project, found, users)
    elif options.only_server:
        removal = destroy.server_removal(project, stage, found)
    else:
        destroy.require_tagged(cloud, project, stage, found)
        groups = [group.name for group in inventory.log_groups(aws, project, stage)]
        removal = destroy.stage_removal(project, stage, found, groups, options.network)
    return replace(removal, carries_calls=deployment.has_phones)


def _build_resources(output: Output, aws: Aws, removal: Removal, owner: Owner) -> list[Leftover]:
    """Return what builds in AWS created, if images are deleted; warn if it may not be read."""
    if not removal.images:
        return []
    try:
        return codebuild_resources.leftovers(aws, owner)
    except AwsRefused as error:
        output.warn(f"Could not look for resources of builds in AWS: {error.message}")
        return []


def _show(
    output: Output,
    removal: Removal,
    builds: Sequence[Leftover],
    cloud: CloudFormation,
    aws: Aws,
    again: str,
) -> None:
    """Show what would be deleted and kept."""
    output.lines([[Span("Would be deleted from account "), Span(f"{aws.account}, {aws.region}")]])
    resources = {stack.name: cloud.resources(stack.id) for stack in removal.stacks}
    output.lines(plan.table([plan.plan_removal(*each) for each in resources.items()]))
    types = {each["ResourceType"] for stack in resources.values() for each in stack}
    if _DISTRIBUTION in types:
        output.note("  CloudFront takes some minutes to delete the server's URL.")
    others = [f"log group {group}" for group in removal.log_groups]
    others += [leftover.title for leftover in builds]
    if others:
        output.lines([[Span("outside the stacks", "bold")]])
    for title in others:
        output.lines([[Span(f"  - {title}", "red")]])
    if warning := destroy.calls_warning(aws, removal):
        output.warn(warning)
    for stack in removal.kept:
        output.note(f"  kept: {stack.name}")
    network = aws_names.network_stack_name_for(removal.project)
    if [stack.name for stack in removal.kept] == [network]:
        output.note(f"  The network still incurs charges. To delete it, too:  {again} --network")


def _delete(
    context: Context,
    removal: Removal,
    builds: Sequence[Leftover],
    cloud: CloudFormation,
    aws: Aws,
    tasks: TaskGroup,
    again: str,
) -> HeldNetwork | None:
    """Delete everything; return what AgentCore keeps of the network."""
    with show_progress(context.output, again) as board:
        held = destroy.remove(aws, cloud, removal, board.on_event, tasks.sleep)
    if builds:
        with context.output.step("Deleting resources of builds in AWS"):
            codebuild_resources.delete(builds)
    return held


def _require_nothing_left(aws: Aws, removal: Removal, again: str) -> None:
    """Raise ResourcesLeft, which names every resource that still exists."""
    if left := destroy.remaining(aws, removal):
        rows = "\n  ".join(f"{resource.kind} {resource.name}" for resource in left)
        raise ResourcesLeft(f"These resources still exist:\n  {rows}", f"Try again:  {again}")


def _report_nothing(
    context: Context, options: DestroyOptions, removal: Removal, aws: Aws
) -> ExitCode:
    """Report that there is nothing to delete, which is a success."""
    if options.json:
        context.output.json(_document(removal, None))
        return ExitCode.OK
    what = f"stacks of {removal.project} · {removal.stage}"
    if options.only_network:
        what = f"network of {removal.project}"
    if options.only_server:
        what = f"session server of {removal.project} · {removal.stage}"
    where = f"account {aws.account}, {aws.region}"
    context.output.say(f"Nothing to delete: {where} has no {what}.")
    for stack in removal.kept:
        context.output.note(f"  kept: {stack.name}")
    context.output.note("To search other regions, run:  voicecore status --all")
    return ExitCode.OK


def _report(
    context: Context,
    options: DestroyOptions,
    removal: Removal,
    held: HeldNetwork | None,
    again: str,
) -> ExitCode:
    if options.json:
        context.output.json(_document(removal, held))
        return ExitCode.OK
    if held:
        _say_held(context.output, held, again)
    else:
        context.output.lines([[Span("✓ ", "green"), Span("Nothing is left.")]])
    return ExitCode.OK


def _say_held(output: Output, held: HeldNetwork, again: str) -> None:
    hours = (held.until - datetime.now(UTC)).total_seconds() / 3600
    output.say(
        f"AgentCore keeps {len(held.interfaces)} network interfaces until "
        f"{held.until.astimezone():%H:%M} at the latest ({max(hours, 0):.1f} h). "
        "They block deleting subnets and a security group, which cost nothing."
    )
    output.say(f"To delete the rest then, run:  {again}")


def _document(removal: Removal, held: HeldNetwork | None) -> dict[str, object]:
    return {
        "project": removal.project,
        "stage": removal.stage,
        "removed": [stack.name for stack in removal.stacks] + list(removal.log_groups),
        "kept": [stack.name for stack in removal.kept],
        "held": asdict(held) | {"until": held.until.isoformat()} if held else None,
    }
