"""`voicecore deploy`: deploy the agent, and the session server, to AWS."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voicecore.aws import session
from voicecore.aws.errors import translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.catalog.transports import TRANSPORTS
from voicecore.cloud.deploy import export, plan, report
from voicecore.cloud.deploy.deployer import Deployer
from voicecore.cloud.deploy.parts.image_build import ImageSource
from voicecore.cloud.deploy.parts.stage_parts import PARTS
from voicecore.cloud.deploy.plan import DeployPlan
from voicecore.cloud.deploy.report import DeployReport, NextCommands, ServerReport
from voicecore.cloud.deploy.request import DeployRequest, request_for
from voicecore.cloud.preflight.check_names import CHECK_NAMES
from voicecore.cloud.resources.agentcore import DEFAULT_ENDPOINT
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.commands.project import add
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output, Span
from voicecore.image.inputs.git import revision_of
from voicecore.options.deploy import DeployOptions
from voicecore.options.invite import InviteOptions
from voicecore.options.project.add import AddOptions
from voicecore.options.releases.promote import PromoteOptions
from voicecore.options.talk import TalkOptions
from voicecore.project import aws_names, identity
from voicecore.project.foreign_code import warn_of_foreign_code
from voicecore.project.invalid_setting import did_you_mean, one_of
from voicecore.project.no_links import within
from voicecore.project.project import AGENT, FILE, SERVER, BadProject, Project, load_project
from voicecore.project.schema import invalid_settings
from voicecore.project.settings.account_rules import invalid_rules
from voicecore.project.snapshot_check import warn_of_captures
from voicecore.project.version import tell_version

EXPORT_FOLDER = "cloudformation"
"""Folder of the project that --export writes to."""


class BadOption(VoicecoreError):
    """An option has a value that is not possible."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.USAGE)


def run(context: Context, options: DeployOptions, login: AwsLogin, images: ImageSource) -> ExitCode:
    """Deploy a stage of a project, in six steps.

    1. read: the project's files, then the current state in AWS
    2. plan: run preflight checks, and compare the current with the desired state
    3. confirm: show the plan with its cost, and ask for confirmation
    4. apply: build and push images, and update the stacks
    5. verify: wait until the runtime and the session server work
    6. release: let callers reach the new version of the agent, unless --no-promote
    """
    started = time.monotonic()
    request = _read_project(context, options)
    if options.export:
        return _export(context, options, request)
    warn_of_captures(context.output, request.project.agent, [request.deployment.stage.platform])
    tell_version(context.output, request.project.name, request.project.version)
    warn_of_foreign_code(context.output, context.env, request.project.root)
    again = typed("deploy", options)
    with translated_errors(again, options.profile), TaskGroup() as tasks:
        aws = _connect(context.output, login, request.deployment)
        has_id = bool(request.project.id)
        if not has_id:
            request = _with_id(context, request, options, aws, again)
        deployer = Deployer(request, aws, tasks, images, context.output, again)
        deployer.read()
        early = options.yes and not options.dry_run
        changes = deployer.plan(early, options.skip_check)
        if changes:
            context.output.lines(plan.lines(changes))
        if changes and options.dry_run:
            context.output.say("Nothing was changed.")
            return _report(context, options, request.deployment, aws, changes, {}, started)
        if changes:
            confirm(context, options, "Apply these changes?", "nothing was changed in AWS", again)
            deployer.apply()
        if not has_id and not options.dry_run:
            _keep_id(context.output, request.project)
        deployer.verify()
        deployer.release()
        stacks, held = deployer.stacks, deployer.held_back
        deployment = request.deployment
        return _report(context, options, deployment, aws, changes, stacks, started, held)


def _read_project(context: Context, options: DeployOptions) -> DeployRequest:
    """Return what to deploy. Raises BadProject, BadOption, BadEnvironment and similar errors."""
    if options.format != export.YAML and not options.export:
        raise BadOption(
            f"--format {options.format} is for --export.",
            f"voicecore deploy --export template --format {options.format}",
        )
    _require_checks(options.skip_check)
    project = load_project(context.cwd / (options.project or ""))
    project = _offer_transport(context, options, project)
    deployment = deployment_for(project, options)
    return _request(context, options, project, deployment)


def _request(
    context: Context, options: DeployOptions, project: Project, deployment: Deployment
) -> DeployRequest:
    return replace(
        request_for(project, deployment, options.server, options.message),
        commit=revision_of(project.root, context.env) or "",
        promote=not options.no_promote,
    )


def _require_checks(names: Sequence[str]) -> None:
    """Raise BadOption for the first name that no preflight check has."""
    for name in names:
        if name not in CHECK_NAMES:
            raise BadOption(
                f"--skip-check: {name!r} is not a preflight check"
                f"{did_you_mean(name, CHECK_NAMES) or one_of(CHECK_NAMES)}"
            )


def _offer_transport(context: Context, options: DeployOptions, project: Project) -> Project:
    """Return the project, with the transport that it lacks if the user agrees to add it.

    --yes confirms changes to AWS only: files change only after the user has seen how.
    """
    lacks = options.transport in TRANSPORTS and options.transport not in project.transports
    if not lacks or not context.interactive or options.json or options.dry_run or options.export:
        return project
    title = TRANSPORTS[str(options.transport)].title
    context.output.say(f"{project.name} has no {title} yet. Adding it would change these files:")
    adding = AddOptions(str(options.transport), project=project.root)
    if add.run(context, adding, typed("deploy", options)) != ExitCode.OK:
        raise BadProject(
            f"{project.name} has conflicts with the files of {title}; nothing was deployed.",
            f"Resolve them, then deploy:  {typed('deploy', options)}",
        )
    return load_project(project.root)


def deployment_for(project: Project, options: DeployOptions) -> Deployment:
    """Return the stage that the options select. Raises BadOption, and BadProject for no stage."""
    deployment = deployment_of(project, options.stage)
    if options.transport:
        deployment = _only_transport(project, deployment, options.transport)
    if options.region:
        _check_region(project, options.region)
        _check_rules(deployment, options.region)
        deployment = replace(deployment, stage=replace(deployment.stage, region=options.region))
    if options.ha:
        if not deployment.creates_network:
            raise BadOption(
                "--ha needs a network created by voicecore, and this stage has none.",
                'To create one, set network = "vpc" in voicecore.toml.',
            )
        if deployment.vpc.endpoints:
            raise BadOption(
                "--ha adds a NAT gateway, and [vpc] endpoints = true allows none.",
                "Leave --ha out, or remove endpoints from voicecore.toml.",
            )
        deployment = replace(deployment, vpc=replace(deployment.vpc, ha=True))
    return deployment


def _only_transport(project: Project, deployment: Deployment, name: str) -> Deployment:
    chosen = tuple(transport for transport in deployment.transports if transport.name == name)
    if chosen:
        return replace(deployment, transports=chosen)
    known = tuple(TRANSPORTS)
    raise BadOption(
        f"The project has no transport {name!r}; it has {', '.join(project.transports)}.",
        f"Add it:  voicecore add {name}"
        if name in known
        else f"{name!r} is not a transport{did_you_mean(name, known) or one_of(known)}",
    )


def _check_region(project: Project, region: str) -> None:
    """Raise BadOption for a region in which the project cannot be deployed."""
    answers = {
        "name": project.name,
        "transports": list(project.transports),
        "pipeline": project.pipeline,
        "services": project.services,
        "region": region,
    }
    for mistake in (each for each in invalid_settings(answers) if each.key == "region"):
        message = f"--{mistake.key} {mistake.message}"
        raise BadOption(message if message.endswith("?") else f"{message}.")


def _check_rules(deployment: Deployment, region: str) -> None:
    """Raise BadOption for a region that lacks the key or the repository of voicecore.toml."""
    stage = deployment.stage
    given = {"kms_key": stage.kms_key, "repository": stage.repository}
    for mistake in invalid_rules("", given, region):
        raise BadOption(
            f"`{mistake.key}` in voicecore.toml {mistake.message}.",
            f"Add a stage with its own to voicecore.toml:  [stages.NAME] with region = {region!r}",
        )


def _export(context: Context, options: DeployOptions, request: DeployRequest) -> ExitCode:
    """Write templates and policies for deploying by other means, without asking AWS."""
    folder = request.project.root / EXPORT_FOLDER
    opener = within(request.project.root, mode=0o666)
    for name, text in export.exported_files(request, options.format).items():
        with open(folder / name, "w", encoding="utf-8", opener=opener) as file:
            file.write(text)
        context.output.data(str(folder / name))
    return ExitCode.OK


def _connect(output: Output, login: AwsLogin, deployment: Deployment) -> Aws:
    """Connect to AWS, and show the account, region and identity. Raises WrongAccount."""
    stage = deployment.stage
    aws = login.connect(stage.region)
    account, arn = aws.identity.account, aws.identity.arn
    where = [
        Span(f"{deployment.name} · {stage.name}", "bold"),
        Span(f"  account {account}  region {aws.region}"),
        Span(f"  as {arn.split(':', 5)[5]}", "dim"),
    ]
    output.lines([where])
    session.check_account(aws.identity, stage.account)
    return aws


def _with_id(
    context: Context, request: DeployRequest, options: DeployOptions, aws: Aws, again: str
) -> DeployRequest:
    """Return the request with an ID for a project of before IDs: that of its stacks, or a new one.

    Raises ForeignResource for stacks of another project.
    """
    project, deployment = request.project, request.deployment
    cloud = CloudFormation(aws.client("cloudformation"), deployment.owner, again)
    name, stage = deployment.name, deployment.stage.name
    names = (
        aws_names.images_stack_name_for(name),
        aws_names.network_stack_name_for(name),
        *(part.stack_name(name, stage) for part in PARTS),
    )
    stacks = [stack for name in names if (stack := cloud.find(name))]
    known = [stack.tags[aws_names.TAG_ID] for stack in stacks if aws_names.TAG_ID in stack.tags]
    id = known[0] if known else identity.new_late_id()
    return _request(context, options, replace(project, id=id), replace(deployment, id=id))


def _keep_id(output: Output, project: Project) -> None:
    """Write the ID that this deploy gave to the project into its voicecore.toml."""
    line = identity.line_of(project.id)
    try:
        identity.write_id(project.root / FILE, project.id)
    except OSError as error:
        output.warn(f"{FILE} cannot be written ({error.strerror}). Add this line to it:  {line}")
    else:
        output.say(f"Added the project's ID to {FILE}; commit it:\n  {line}")


def _report(
    context: Context,
    options: DeployOptions,
    deployment: Deployment,
    aws: Aws,
    changes: DeployPlan | None,
    stacks: dict[str, DeployedStack],
    started: float,
    held: bool = False,
) -> ExitCode:
    """Show what is deployed and what to run next; `held`: callers do not reach it."""
    server: ServerReport | None = None
    if SERVER in stacks:
        # An invite gives access, so no log shows one.
        with_invite = context.interactive and not options.json
        server = report.server_report(aws, deployment, stacks[SERVER], with_invite)
    result = DeployReport(
        deployment,
        aws,
        changes,
        stacks.get(AGENT),
        server,
        time.monotonic() - started,
        _next_commands(options, stacks, deployment, held),
    )
    if options.json:
        context.output.json(report.document(result))
    else:
        context.output.lines(report.lines(result))
    return ExitCode.OK


def _next_commands(
    options: DeployOptions, stacks: dict[str, DeployedStack], deployment: Deployment, held: bool
) -> NextCommands:
    place: dict[str, Any] = {
        name: getattr(options, name) for name in ("project", "stage", "region", "profile")
    }
    invite = typed("invite", InviteOptions(**place))
    promote = typed("promote", PromoteOptions(**place)) if held else ""
    if AGENT in stacks and any(transport.in_talk for transport in deployment.transports):
        arn = stacks[AGENT].outputs["RuntimeArn"]
        if held:
            # AgentCore's own endpoint is always at the newest version.
            arn = f"{arn}/runtime-endpoint/{DEFAULT_ENDPOINT}"
        elif not options.region:
            arn = None
        to = TalkOptions(project=options.project, remote=True, stage=options.stage, arn=arn)
        login = f"AWS_PROFILE={shlex.quote(options.profile)} " if options.profile else ""
        return NextCommands("Talk to it:", login + typed("talk", to), invite, promote)
    if SERVER in stacks:
        return NextCommands("", "", invite, promote)
    deploy = typed("deploy", DeployOptions(**place), "--server")
    return NextCommands("Let callers in:", deploy, invite, promote)
