"""`voicecore build`: builds the agent's image, checks it if asked, and pushes it."""

from __future__ import annotations

import time
from dataclasses import asdict

from voicecore.aws.login import AwsLogin
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import megabytes
from voicecore.image.builder import (
    BuildRequest,
    BuildResult,
    age_in_days,
    build_image,
    existing_image,
    require_buildable,
    write_sbom,
)
from voicecore.image.builder_choice import choose_builder, local_docker, require_possible
from voicecore.image.inputs.base_image import OLD_DAYS
from voicecore.image.plan import BuildPlan, pin_base, plan_build
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference, parse_reference
from voicecore.image.report import BuildReport, document, lines
from voicecore.options.build import BuildOptions
from voicecore.project.foreign_code import warn_of_foreign_code
from voicecore.project.project import Project, load_project
from voicecore.project.snapshot_check import CapturesFound, check_snapshot, warn_of_captures
from voicecore.project.version import tell_version

_PUSH = "It is stored here; push it:  voicecore build --push REPOSITORY"


def run(context: Context, options: BuildOptions) -> ExitCode:
    """Plan the image, build it unless the registry has it, and report it."""
    started = time.monotonic()
    require_possible(options.builder, options.push, options.check)
    project = load_project(context.cwd / (options.project or ""))
    if options.check_code:
        return _check_code(context, options, project)
    warn_of_captures(context.output, project.agent, project.platforms, refuse=options.check)
    tell_version(context.output, project.name, project.version)
    warn_of_foreign_code(context.output, context.env, project.root)
    login = AwsLogin(can_ask=context.interactive)
    if options.push:
        _find_credentials(login, options.push)
    with context.output.step("Reading the agent, its packages and its base image"):
        compiles = options.builder == "codebuild"
        plan = plan_build(project, options.push, compiles, context.env, login)
    if plan.target:
        _require_own(plan, plan.target)
    _report_findings(context, plan)
    if options.dry_run:
        return _dry_run(context, options, plan)
    pin_base(plan)
    existing = plan.pushed_digest and not options.check
    result = existing_image(plan) if existing else _build(context, options, plan)
    if options.sbom:
        write_sbom(plan, result.digest, context.cwd / options.sbom, context.env)
    report = _report_of(plan, result, time.monotonic() - started)
    if options.json:
        context.output.json(document(report))
    else:
        _print(context, options, report)
    return ExitCode.OK


def _check_code(context: Context, options: BuildOptions, project: Project) -> ExitCode:
    """Report what the agent's code keeps that a snapshot must not contain."""
    found = check_snapshot(project.agent)
    if options.json:
        context.output.json({"findings": [asdict(finding) for finding in found]})
        return ExitCode.BAD_PROJECT if found else ExitCode.OK
    if found:
        raise CapturesFound(found)
    context.output.say("✓ agent/bot.py keeps nothing that a snapshot must not contain")
    return ExitCode.OK


def _find_credentials(login: AwsLogin, repository: str) -> None:
    """Find the credentials for ECR now: later, no one can be asked for an MFA code."""
    if ecr := ecr_host(parse_reference(repository).registry):
        # Imported late: other registries do not need botocore.
        from voicecore.aws.errors import translated_errors

        with translated_errors():
            login.open(ecr.region)


def _require_own(plan: BuildPlan, target: Reference) -> None:
    """Raise ForeignResource if the repository is another project's."""
    # Imported late: other registries do not need botocore.
    from voicecore.image.registry.ownership import require_own_repository

    require_own_repository(target, plan.project.owner, plan.logins.aws)


def _report_findings(context: Context, plan: BuildPlan) -> None:
    """Tell the user about a new lockfile and an old base."""
    if plan.lock_created:
        context.output.say(f"• Locked the package versions: {plan.lock_created} is new; commit it")
    days = age_in_days(plan.base)
    if days is not None and days > OLD_DAYS:
        context.output.warn(
            f"The base image is {days} days old and lacks newer security fixes. "
            "Upgrade it:  voicecore upgrade-base"
        )


def _build(context: Context, options: BuildOptions, plan: BuildPlan) -> BuildResult:
    with local_docker(options.builder, options.check, context.env) as docker:
        choice = choose_builder(options.builder, docker)
        if choice.problem:
            context.output.say(f"• Building without Docker: {choice.problem.message}")
        request = BuildRequest(
            builder=choice,
            engine=docker.engine,
            fresh=options.no_cache,
            check=options.check,
            codebuild_role=options.codebuild_role,
        )
        with context.output.tasks() as on_progress:
            return build_image(plan, request, context.env, on_progress)


def _report_of(plan: BuildPlan, result: BuildResult, seconds: float) -> BuildReport:
    return BuildReport(
        name=plan.project.name,
        tag=plan.tag,
        builder=result.builder,
        seconds=seconds,
        base=plan.base,
        base_days=age_in_days(plan.base),
        image=result.image,
        location=result.location,
        pushed=bool(plan.target) and not plan.pushed_digest,
        digest=result.digest,
        smoke_test=result.smoke_test,
    )


def _dry_run(context: Context, options: BuildOptions, plan: BuildPlan) -> ExitCode:
    with local_docker(options.builder, options.check, context.env) as docker:
        choice = choose_builder(options.builder, docker)
    if not plan.pushed_digest:
        require_buildable(plan, choice, context.env)
    size = sum((file.source or plan.folder / file.path).lstat().st_size for file in plan.files)
    facts = {
        "image": str(plan.target or plan.local_reference),
        "base": plan.base.reference,
        "builder": choice.name,
        "files": len(plan.files),
        "bytes": size,
        "already_there": bool(plan.pushed_digest),
    }
    if options.json:
        context.output.json(facts)
        return ExitCode.OK
    verb = "already exists" if plan.pushed_digest else f"would be built by {choice.name}"
    context.output.say(f"{facts['image']} {verb}")
    context.output.say(f"  from {len(plan.files)} files of agent/, {megabytes(size)}")
    context.output.say(f"  on {plan.base.reference}")
    if plan.pins_base:
        context.output.say("  and agent/Dockerfile would name that base by its digest")
    return ExitCode.OK


def _print(context: Context, options: BuildOptions, report: BuildReport) -> None:
    output = context.output
    if not report.builder:
        output.say(f"Nothing to do: the image already exists.  {report.location}")
        output.note(f"  {report.digest or _PUSH}")
        return
    output.say()
    output.lines(lines(report))
    output.say()
    verb = "Pushed" if report.pushed else "Built"
    output.say(f"{verb} {report.location} in {report.seconds:.1f} s", style="bold")
    if report.digest:
        output.note(f"  {report.digest}")
    if options.sbom:
        output.note(f"  SBOM: {options.sbom}")
    if not report.pushed and report.builder == "direct" and not report.smoke_test:
        output.note(f"  {_PUSH}")
    elif not report.smoke_test:
        output.note("  Check that it starts in time:  voicecore build --check")
