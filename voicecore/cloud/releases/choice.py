"""Owns the choice of the version that callers are moved to, and what the move does not change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voicecore.cloud.releases.history import StageVersion, StageVersions
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names

STAYS = (
    "values of agent/.env in the secret, permissions of the role, network, TURN and session server"
)
"""Everything that is in no version of the agent: each version uses what is deployed."""

_NUMBER = re.compile(r"v?([1-9][0-9]*)")


class VersionUnknown(VoicecoreError):
    """The stage does not have the version that was named."""


class VersionUnusable(VoicecoreError):
    """AWS cannot start the version any more, or its deploy did not finish."""


class NothingEarlier(VoicecoreError):
    """Callers have reached no earlier version."""


def promotion(found: StageVersions, named: str | None) -> StageVersion:
    """Return the version to promote: the one named, or the newest.

    Raises VersionUnknown, and VersionUnusable for one that callers cannot be moved to.
    """
    return _usable(found, _named(found, named) if named else _newest(found))


def rollback(found: StageVersions, named: str | None) -> StageVersion:
    """Return the version to go back to: the one named, or the one that callers reached before.

    It is the live version if they were moved back already: repeating the command goes no further.
    Raises VersionUnknown, VersionUnusable and NothingEarlier.
    """
    live = found.live
    if named:
        target = _named(found, named)
        if live and target.version.number > live.version.number:
            raise VersionUnknown(
                f"{target.name} is newer than {live.name}, which callers reach now.",
                "To move callers forward, run:  "
                f"voicecore promote {target.name}{aws_names.stage_flag(found.stage)}",
                ExitCode.USAGE,
            )
        return _usable(found, target)
    if live and was_moved_back(found):
        return live
    return _usable(found, _before(found))


def was_moved_back(found: StageVersions) -> bool:
    """Return True when the last move of callers was to an earlier version."""
    return bool(found.live and found.earlier and _is_later(found.earlier[-1], found.live))


def further_back(found: StageVersions) -> StageVersion | None:
    """Return the version that callers reached before the live one, if AWS still has it."""
    return next((each for each in _earlier(found) if not each.problem), None)


def differences(now: Runtime, then: Runtime) -> Iterator[str]:
    """Yield what differs between two versions of a runtime. No values of variables."""
    if now.image != then.image:
        yield "image"
    names = {*now.environment, *then.environment}
    changed = sorted(n for n in names if now.environment.get(n) != then.environment.get(n))
    if changed:
        yield f"variables {', '.join(changed)}"
    for what, before, after in (
        ("platform", now.platform, then.platform),
        ("network", now.network, then.network),
        ("role", now.role, then.role),
    ):
        if before != after:
            yield f"{what} {before} → {after}"


def warnings(now: Runtime, then: Runtime) -> Iterator[str]:
    """Yield what may be missing by now of what a version needs."""
    for what, before, after in (
        ("network", now.network, then.network),
        ("role", now.role, then.role),
    ):
        if before != after:
            yield f"It uses another {what}, {after}. If that was deleted, its calls fail."


def _named(found: StageVersions, named: str) -> StageVersion:
    number = _NUMBER.fullmatch(named)
    for each in found.versions:
        if number and each.version.number == int(number[1]):
            return each
    names = [each.name for each in found.versions]
    raise VersionUnknown(
        f"{found.project} · {found.stage} has no version {named}; it has {_listed(names)}.",
        f"To see them, run:  voicecore versions{aws_names.stage_flag(found.stage)}",
        ExitCode.USAGE,
    )


def _newest(found: StageVersions) -> StageVersion:
    if found.versions:
        return found.versions[0]
    raise VersionUnknown(
        f"{found.project} · {found.stage} has no version.",
        f"To make one, run:  voicecore deploy{aws_names.stage_flag(found.stage)}",
    )


def _before(found: StageVersions) -> StageVersion:
    earlier = _earlier(found)
    if earlier:
        return earlier[0]
    live = f" before {found.live.name}" if found.live else ""
    raise NothingEarlier(
        f"Nothing to roll back to: callers of {found.project} · {found.stage} have reached no "
        f"version{live}.",
        f"To see all versions, run:  voicecore versions{aws_names.stage_flag(found.stage)}",
    )


def _earlier(found: StageVersions) -> list[StageVersion]:
    """Return the versions older than the live one that callers reached, the last one first."""
    live = found.live
    return [e for e in reversed(found.earlier) if live is None or _is_later(live, e)]


def _is_later(one: StageVersion, other: StageVersion) -> bool:
    return one.version.number > other.version.number


def _usable(found: StageVersions, target: StageVersion) -> StageVersion:
    """Return the target. Raises VersionUnusable for one that callers cannot be moved to."""
    if not target.problem or target.live:
        return target
    flag = aws_names.stage_flag(found.stage)
    if target is found.versions[0]:
        hint = f"Deploy again:  voicecore deploy{flag}"
    else:
        other = next((e for e in _earlier(found) if not e.problem and e is not target), None)
        hint = (
            f"{other.name} can take calls:  voicecore rollback {other.name}{flag}"
            if other
            else f"To see the others, run:  voicecore versions{flag}"
        )
    raise VersionUnusable(
        f"Callers cannot be moved to {target.name}: {target.problem}. Nothing was changed.", hint
    )


def _listed(names: list[str]) -> str:
    *others, last = names or ["none"]
    return f"{', '.join(others)} and {last}" if others else last
