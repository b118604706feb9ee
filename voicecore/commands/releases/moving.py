"""Owns what `voicecore promote` and `voicecore rollback` share: show a move, ask, move callers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from voicecore.aws.errors import translated_errors
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy.progress import announce_busy_stacks
from voicecore.cloud.releases import choice
from voicecore.cloud.releases.history import StageVersion, StageVersions
from voicecore.cloud.releases.move import move_callers
from voicecore.commands.releases.stage import ReleasedStage, open_stage
from voicecore.commands.releases.versions import lines_of
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Span
from voicecore.options.releases.promote import PromoteOptions
from voicecore.options.releases.rollback import RollbackOptions
from voicecore.project import aws_names

MoveOptions = PromoteOptions | RollbackOptions
Choose = Callable[[StageVersions, str | None], StageVersion]
"""Returns the version that callers are moved to, of the name that the user typed."""


class EndpointDeleted(VoicecoreError):
    """The stage's endpoint was deleted by hand, so there is nothing to move."""


def run_move(context: Context, options: MoveOptions, command: str, choose: Choose) -> ExitCode:
    """Read the versions, choose one, show the move, ask, and move callers."""
    started = time.monotonic()
    again, output = typed(command, options), context.output
    with translated_errors(again, options.profile), TaskGroup() as tasks:
        stage = open_stage(context, options, tasks, again)
        with output.step("Reading the versions"):
            found = stage.read(announce_busy_stacks(output))
        _require_endpoint(found)
        target = choose(found, options.version)
        moves = needs_move(found, target)
        output.lines([stage.title])
        if not options.json and moves:
            output.lines(plan_lines(found, target))
        if moves and not options.dry_run:
            question = f"Move callers to {target.name}?"
            confirm(context, options, question, "callers stay where they are", again)
            with output.step(f"Moving callers to {target.name}"):
                on_event, pause = announce_busy_stacks(output), tasks.sleep
                move_callers(stage.aws, stage.cloud, found, target, again, on_event, pause)
        changed = moves and not options.dry_run
        if options.json:
            output.json(_document(stage, found, target, changed, time.monotonic() - started))
        elif changed:
            output.lines(_done(found, target, time.monotonic() - started))
        else:
            _say_unchanged(context, found, target)
    return ExitCode.OK


def needs_move(found: StageVersions, target: StageVersion) -> bool:
    """Return True when the endpoint, or what the stack says of it, is not at the target."""
    reached = target.runtime is None or target.runtime.version == found.reached
    return found.moved_by_hand or not reached


def plan_lines(found: StageVersions, target: StageVersion) -> Iterator[Line]:
    """Yield the two versions, how they differ, and everything that stays."""
    if target.live:
        number = target.runtime.version if target.runtime else "?"
        yield [Span(f"Callers stay at {target.name}: AgentCore's version {number}.")]
        return
    yield [Span(f"Callers move from {_name(found)} to {target.name}:")]
    yield from lines_of([each for each in (found.live, target) if each])
    differing = differences_of(found, target)
    if differing:
        yield [Span(f"  They differ in: {'; '.join(differing)}.")]
    for warning in warnings_of(found, target):
        yield [Span(f"! {warning}", "yellow")]
    yield [Span(f"No version contains these, and they stay: {choice.STAYS}.", "dim")]
    yield [Span("Calls in progress keep their version.", "dim")]


def differences_of(found: StageVersions, target: StageVersion) -> list[str]:
    """Return the differences of the target from the version that callers reach."""
    now = found.live.runtime if found.live else None
    return list(choice.differences(now, target.runtime)) if now and target.runtime else []


def warnings_of(found: StageVersions, target: StageVersion) -> list[str]:
    """Return what the target may lack by now."""
    now = found.live.runtime if found.live else None
    return list(choice.warnings(now, target.runtime)) if now and target.runtime else []


def _require_endpoint(found: StageVersions) -> None:
    if not found.reached:
        raise EndpointDeleted(
            f"The endpoint {aws_names.endpoint_name_for(found.stage)} was deleted by hand.",
            f"Restore it:  voicecore deploy{aws_names.stage_flag(found.stage)}",
        )


def _say_unchanged(context: Context, found: StageVersions, target: StageVersion) -> None:
    if needs_move(found, target):
        context.output.say("Nothing was changed.")
        return
    context.output.say(f"Callers reach {target.name} already; nothing was changed.")
    back = choice.further_back(found)
    if choice.was_moved_back(found) and back:
        flag = aws_names.stage_flag(found.stage)
        context.output.note(f"To go further back, run:  voicecore rollback {back.name}{flag}")


def _done(found: StageVersions, target: StageVersion, seconds: float) -> Iterator[Line]:
    flag = aws_names.stage_flag(found.stage)
    yield [Span("✓ ", "green"), Span(f"Callers reach {target.name}, {seconds:.0f} s")]
    if found.live and found.live is not target:
        later = found.live.version.number > target.version.number
        undo = f"voicecore {'promote' if later else 'rollback'} {found.live.name}{flag}"
        yield [Span("To undo it:  ", "dim"), Span(undo, "bold")]
    if target is not found.versions[0]:
        yield [Span(f"The next deploy moves callers to its own version:  voicecore deploy{flag}")]


def _name(found: StageVersions) -> str:
    return found.live.name if found.live else f"AgentCore's version {found.reached}"


def _document(
    stage: ReleasedStage,
    found: StageVersions,
    target: StageVersion,
    changed: bool,
    seconds: float,
) -> dict[str, Any]:
    return stage.document | {
        "changed": changed,
        "from": found.live.version.number if found.live else None,
        "to": target.version.number,
        "differences": differences_of(found, target),
        "warnings": warnings_of(found, target),
        "unchanged": choice.STAYS,
        "seconds": round(seconds, 1),
    }
