"""`voicecore destroy`: takes a stage out of AWS again, and leaves nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from voicecore.aws import session
from voicecore.aws.errors import AwsRefused
from voicecore.aws.session import Aws
from voicecore.aws.task_group import Together
from voicecore.cloud.deploy import destroy, inventory, plan
from voicecore.cloud.deploy.cloudformation import CloudFormation
from voicecore.cloud.deploy.destroy import Held, Removal, SomethingLeft
from voicecore.cloud.deploy.progress import begun
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.image.builders import codebuild_resources
from voicecore.image.builders.codebuild_resources import Leftover
from voicecore.project import aws_names
from voicecore.project.project import load_project

_FRONT = "AWS::CloudFront::Distribution"


@dataclass(frozen=True)
class DestroyOptions:
    """The flags of `voicecore destroy`; None means: not said."""

    project: Path | None = None
    stage: str = aws_names.DEFAULT_STAGE
    network: bool = False
    only_network: bool = False
    only_server: bool = False
    wait: bool = False
    region: str | None = None
    profile: str | None = None
    yes: bool = False
    json: bool = False


class NobodyAgreed(VoicecoreError):
    """Nothing is removed that nobody agreed to."""


def run(context: Context, options: DestroyOptions) -> ExitCode:
    """Show all that would go and what would stay; once agreed, remove it and look again."""
    if options.network and options.only_network:
        raise VoicecoreError(
            "--network is about a stage with its network, --only-network about the network alone.",
            "Leave one of them out.",
            ExitCode.USAGE,
        )
    project = load_project(context.cwd / (options.project or ""))
    deployment = deployment_of(project, options.stage)
    stage = deployment.stage
    again = typed("destroy", options)
    session.check_region(options.region)
    with session.refusals(again, options.profile), Together() as together:
        aws = session.connect(options.region or stage.region, options.profile)
        session.check_account(aws.identity, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), again, together.pause)
        found = inventory.stacks(aws, project.name)
        if options.only_network:
            users = destroy.users_of_network(cloud, project.name, found)
            removal = destroy.removal_of_network(project.name, found, users)
        elif options.only_server:
            removal = destroy.removal_of_server(project.name, stage.name, found)
        else:
            groups = [g.name for g in inventory.log_groups(aws, project.name, stage.name)]
            removal = destroy.removal_of(project.name, stage.name, found, groups, options.network)
        removal = replace(removal, bridged=deployment.bridged)
        builds = _left_by_builds(context.output, aws, removal)
        if removal.empty and not builds:
            return _nothing(context, options, removal, aws)

        _show(context, removal, builds, cloud, aws, again)
        _require_agreement(context, options, again)
        with begun(context.output, again) as board:
            held = destroy.remove(aws, cloud, removal, board.tell)
        if builds:
            with context.output.step("Removing what builds in AWS left"):
                codebuild_resources.delete(builds)
        if held and options.wait:
            _say_held(context, held, again)
            with begun(context.output, again) as board:
                destroy.wait_and_remove(aws, cloud, removal, board.tell, together.pause)
            held = None
        if held is None:
            with context.output.step("Seeing that nothing is left"):
                _require_nothing(destroy.left_of(aws, removal), again)
    return _report(context, options, removal, held, again)


def _left_by_builds(output: Output, aws: Aws, removal: Removal) -> list[Leftover]:
    """What builds of the image in AWS have left, if images go: who never built there has nothing.

    Who may not look may not have built there either, or it is told.
    """
    if not removal.images:
        return []
    clients = {name: aws.client(name) for name in ("s3", "iam", "logs", "codebuild")}
    account = codebuild_resources.Aws(aws.account, aws.identity.partition, aws.region, **clients)
    try:
        return codebuild_resources.leftovers(account, removal.project)
    except AwsRefused as error:
        output.warn(f"What builds in AWS may have left could not be looked for: {error.message}")
        return []


def _show(
    context: Context,
    removal: Removal,
    builds: Sequence[Leftover],
    cloud: CloudFormation,
    aws: Aws,
    again: str,
) -> None:
    output = context.output
    output.lines([[Span("Would be removed from account "), Span(f"{aws.account}, {aws.region}")]])
    made = {stack.name: cloud.resources(stack.id) for stack in removal.stacks}
    output.lines(plan.table([plan.part_of_removal(*each) for each in made.items()]))
    if any(each["ResourceType"] == _FRONT for resources in made.values() for each in resources):
        output.note("  CloudFront takes some minutes to let go of the server's URL.")
    beside = [f"log group {group}" for group in removal.log_groups]
    beside += [leftover.title for leftover in builds]
    if beside:
        output.lines([[Span("beside the stacks", "bold")]])
    for title in beside:
        output.lines([[Span(f"  - {title}", "red")]])
    if calls := destroy.cut_by(aws, removal):
        output.warn(calls)
    for stack in removal.kept:
        output.note(f"  kept: {stack.name}")
    if [stack.name for stack in removal.kept] == [
        aws_names.network_stack_name_for(removal.project)
    ]:
        output.note(f"  The network goes on costing. With it:  {again} --network")


def _require_agreement(context: Context, options: DestroyOptions, again: str) -> None:
    if options.yes:
        return
    if options.json or not context.interactive:
        raise NobodyAgreed(
            "Nothing was removed: nobody agreed.", f"Agree:  {again} --yes", ExitCode.USAGE
        )
    from voicecore.scaffold import questions

    if not questions.confirm("Remove all this?"):
        raise NobodyAgreed("Nothing was removed.")


def _require_nothing(left: Sequence[inventory.Thing], again: str) -> None:
    if left:
        rows = "\n  ".join(f"{thing.kind} {thing.name}" for thing in left)
        raise SomethingLeft(f"This is still there:\n  {rows}", f"Try again:  {again}")


def _nothing(context: Context, options: DestroyOptions, removal: Removal, aws: Aws) -> ExitCode:
    """There is nothing to remove, which is as it should be."""
    if options.json:
        context.output.json(_document(removal, None))
        return ExitCode.OK
    what = f"nothing of {removal.project} · {removal.stage}"
    if options.only_network:
        what = f"no network of {removal.project}"
    if options.only_server:
        what = f"no session server of {removal.project} · {removal.stage}"
    context.output.say(f"There is {what} in account {aws.account}, {aws.region}.")
    for stack in removal.kept:
        context.output.note(f"  kept: {stack.name}")
    context.output.note("In another region?  voicecore status --all")
    return ExitCode.OK


def _report(
    context: Context, options: DestroyOptions, removal: Removal, held: Held | None, again: str
) -> ExitCode:
    if options.json:
        context.output.json(_document(removal, held))
        return ExitCode.OK
    if held:
        _say_held(context, held, again)
    else:
        context.output.lines([[Span("✓ ", "green"), Span("Nothing is left of it.")]])
    return ExitCode.OK


def _say_held(context: Context, held: Held, again: str) -> None:
    hours = (held.until - datetime.now(UTC)).total_seconds() / 3600
    context.output.say(
        f"AgentCore keeps {len(held.interfaces)} network interfaces until "
        f"{held.until.astimezone():%H:%M} at the latest ({max(hours, 0):.1f} h); "
        "they hold subnets and a security group, which cost nothing."
    )
    context.output.say(f"To remove the rest then:  {again}")


def _document(removal: Removal, held: Held | None) -> dict[str, object]:
    return {
        "project": removal.project,
        "stage": removal.stage,
        "removed": [stack.name for stack in removal.stacks] + list(removal.log_groups),
        "kept": [stack.name for stack in removal.kept],
        "held": asdict(held) | {"until": held.until.isoformat()} if held else None,
    }
