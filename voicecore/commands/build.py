"""`voicecore build`: the agent's image, made, run on wish, and pushed."""

from __future__ import annotations

import time

from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import megabytes
from voicecore.image import builder
from voicecore.image.builder import Made, Plan, Wish
from voicecore.image.inputs.base_image import OLD_DAYS
from voicecore.image.report import Built, document, lines
from voicecore.options.build import BuildOptions
from voicecore.project.project import load_project
from voicecore.scaffold.render import dockerfile_of


def run(context: Context, options: BuildOptions) -> ExitCode:
    """Build what is not there yet, and say what it has become."""
    started = time.monotonic()
    output = context.output
    builder.require_possible(options.builder, options.push, options.check)
    project = load_project(options.project or context.cwd)
    with output.step("Reading the agent, its packages and its base"):
        plan = builder.plan(project, options.push, options.builder == "codebuild", context.env)
    _tell_of(context, plan)
    if options.dry_run:
        return _dry_run(context, options, plan)
    builder.pin(plan)
    made = (
        builder.found(plan) if plan.there and not options.check else _make(context, options, plan)
    )
    if options.sbom:
        builder.write_sbom(plan, made.digest, context.cwd / options.sbom, context.env)
    built = Built(
        name=project.name,
        tag=plan.tag,
        builder=made.builder,
        seconds=time.monotonic() - started,
        base=plan.base,
        base_days=builder.age_in_days(plan.base),
        image=made.image,
        reference=made.reference,
        pushed=bool(plan.target) and not plan.there,
        digest=made.digest,
        checked=made.checked,
    )
    if options.json:
        output.json(document(built))
    else:
        _report(context, options, built)
    return ExitCode.OK


def _tell_of(context: Context, plan: Plan) -> None:
    """What was found on the way that the user should know."""
    if plan.locked:
        context.output.say("• Locked the packages' versions: agent/uv.lock is new; commit it")
    days = builder.age_in_days(plan.base)
    if days is not None and days > OLD_DAYS:
        context.output.warn(
            f"The base image is {days} days old and lacks later security fixes. "
            "Bring the newest:  voicecore upgrade-base"
        )


def _make(context: Context, options: BuildOptions, plan: Plan) -> Made:
    wish = Wish(fresh=options.no_cache, check=options.check)
    known = dockerfile_of(plan.part)
    with builder.docker_for(options.builder, options.check, context.env) as docker:
        choice = builder.choose(options.builder, docker)
        if choice.reason:
            context.output.say(f"• Building without Docker: {choice.reason}")
        with context.output.tasks() as tell:
            if choice.builder == "codebuild" and plan.target:
                role = options.codebuild_role
                return builder.make_in_aws(plan, plan.target, wish, role, tell)
            if choice.builder == "buildx" and docker.running:
                return builder.make_by_buildx(plan, wish, docker.running, context.env, tell)
            return builder.make_directly(plan, wish, known, docker.running, context.env, tell)


def _dry_run(context: Context, options: BuildOptions, plan: Plan) -> ExitCode:
    with builder.docker_for(options.builder, options.check, context.env) as docker:
        choice = builder.choose(options.builder, docker)
    size = sum((plan.project.agent / file.path).lstat().st_size for file in plan.files)
    facts = {
        "image": str(plan.target or plan.local),
        "base": plan.base.reference,
        "builder": choice.builder,
        "files": len(plan.files),
        "bytes": size,
        "already_there": bool(plan.there),
    }
    if options.json:
        context.output.json(facts)
        return ExitCode.OK
    verb = "is there already" if plan.there else f"would be built by {choice.builder}"
    context.output.say(f"{facts['image']} {verb}")
    context.output.say(f"  from {len(plan.files)} files of agent/, {megabytes(size)}")
    context.output.say(f"  on {plan.base.reference}")
    if plan.pins:
        context.output.say("  and agent/Dockerfile would name that base by its digest")
    return ExitCode.OK


def _report(context: Context, options: BuildOptions, built: Built) -> None:
    output = context.output
    if not built.builder:
        output.say(f"Nothing to do: this image is there already.  {built.reference}")
        output.note(f"  {built.digest}")
        return
    output.say()
    output.lines(lines(built))
    output.say()
    where = "Pushed" if built.pushed else "Built"
    output.say(f"{where} {built.reference} in {built.seconds:.1f} s", style="bold")
    if built.digest:
        output.note(f"  {built.digest}")
    if options.sbom:
        output.note(f"  What is in it: {options.sbom}")
    if not built.pushed and built.builder == "direct" and not built.checked:
        output.note("  It is kept here; send it to a registry:  voicecore build --push REPOSITORY")
    elif not built.checked:
        output.note("  See that it starts in time:  voicecore build --check")
