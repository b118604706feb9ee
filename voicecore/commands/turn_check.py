"""`voicecore turn check`: allocate a relay at every TURN source, as the agent does.

The agent's own script makes the attempts, in the agent's own environment: what it finds is what a
call finds.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voicecore.catalog import turn_sources
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.turn_sources.variables import TurnMistake, mistakes_in, read_url
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.local.environments import agent_spec
from voicecore.local.processes import venv
from voicecore.options.turn_check import TurnCheckOptions
from voicecore.project.defaults import DEFAULT_STAGE
from voicecore.project.foreign_code import warn_of_foreign_code
from voicecore.project.invalid_setting import one_of
from voicecore.project.project import Project, load_project

MODULE = "internal.turn_check"
_SECONDS = 60.0  # sources and relays have limits of their own, of a few seconds


class SourceWithoutRelay(VoicecoreError):
    """A source gives no relay from this machine."""


class NothingToCheck(VoicecoreError):
    """The project has no transport that needs TURN, or no TURN source."""


class CheckFailed(VoicecoreError):
    """The agent's script failed."""


@dataclass(frozen=True)
class RelayAttempt:
    """An attempt to allocate a relay at one URL: a line of the agent's turn_check.py."""

    source: str
    url: str = ""
    relay: str = ""
    seconds: float = 0.0
    expires: int | None = None
    """Unix time at which the credentials expire; None if unknown."""
    unused: str = ""
    """Reason why the agent does not use this URL."""
    kind: str = ""
    """Value of FailureKind in the agent; empty if there is a relay."""
    reason: str = ""


def run(context: Context, options: TurnCheckOptions) -> ExitCode:
    """Allocate a relay at every URL of every source, and show the results."""
    project = load_project((context.cwd / (options.project or "")).resolve())
    _require_turn(project, options)
    warn_of_foreign_code(context.output, context.env, project.root)
    with context.output.step("Installing the packages of agent/"):
        venv.sync([project.agent], context.env)
    variables = _variables(project, context.env, options)
    mistakes = mistakes_in(variables, in_aws=True, udp=True)
    attempts = attempt_relays(project, variables, options.sources)
    failed = sources_without_relay(attempts)
    if options.json:
        context.output.json(_document(attempts, mistakes))
        return ExitCode.FAILED if failed or not attempts else ExitCode.OK
    for line in _lines(attempts, time.time()):
        context.output.data(line)
    for mistake in mistakes:
        context.output.warn(f"{mistake.variable}: {mistake.message}. {mistake.hint}")
    if not attempts:
        others = ", ".join(name for name in turn_sources.SOURCES if name != turn_sources.KVS)
        raise NothingToCheck(
            "No TURN source is set in agent/.env.",
            f"After a deploy, use KVS:  voicecore turn check --stage {DEFAULT_STAGE}\n"
            f"Or set the variables of another source:  {others} (agent/internal/turn/)",
        )
    if failed:
        hints = [hint for name in failed for hint in _advice(name, attempts)]
        raise SourceWithoutRelay(f"No relay from {' or '.join(failed)}.", "\n".join(hints))
    for hint in (hint for name in turn_sources.SOURCES for hint in _advice(name, attempts)):
        context.output.warn(hint)
    return ExitCode.OK


def _require_turn(project: Project, options: TurnCheckOptions) -> None:
    """Raise NothingToCheck unless the agent can check these sources."""
    if not (project.agent / "internal" / "turn_check.py").exists():
        transport = next(each.name for each in TRANSPORTS.values() if each.turn)
        raise NothingToCheck(
            f"The agent of {project.name} has no transport that needs TURN.",
            f"Add one:  voicecore add {transport}",
            ExitCode.BAD_PROJECT,
        )
    known = tuple(turn_sources.SOURCES)
    if unknown := [name for name in options.sources if name not in known]:
        raise NothingToCheck(
            f"Unknown TURN source {unknown[0]!r}{one_of(known)}.",
            f"For example:  voicecore turn check --source {known[0]}",
            ExitCode.USAGE,
        )


def attempt_relays(
    project: Project, variables: Mapping[str, str], sources: Sequence[str]
) -> list[RelayAttempt]:
    """Return the attempts of the agent's script. Raises CheckFailed."""
    argv = [str(venv.python_of(project.agent)), "-m", MODULE, *sources]
    try:
        done = subprocess.run(
            argv, cwd=project.agent, env=dict(variables), capture_output=True, text=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"The check took more than {_SECONDS:g} s.", _by_hand(argv)) from error
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise CheckFailed(f"agent/internal/turn_check.py failed:\n{tail}", _by_hand(argv))
    return parse_attempts(done.stdout.splitlines())


def _by_hand(argv: Sequence[str]) -> str:
    return f"To run it yourself, in agent/:  {' '.join(argv)}"


def parse_attempts(lines: Iterable[str]) -> list[RelayAttempt]:
    """Return the attempts that turn_check.py printed; other lines are logs of its libraries."""
    found: list[RelayAttempt] = []
    for line in lines:
        try:
            found.append(RelayAttempt(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    order = list(turn_sources.SOURCES)
    return sorted(found, key=lambda each: order.index(each.source) if each.source else -1)


def sources_without_relay(attempts: Iterable[RelayAttempt]) -> list[str]:
    """Return the sources from which no attempt got a relay."""
    relayed: dict[str, bool] = {}
    for each in attempts:
        relayed[each.source] = relayed.get(each.source, False) or bool(each.relay)
    return [name or turn_sources.CHOICE for name, got_one in relayed.items() if not got_one]


def _lines(attempts: Sequence[RelayAttempt], now: float) -> Iterator[str]:
    """Yield the report: each source, and below it each attempt."""
    width = max((len(each.url) for each in attempts), default=0)
    source = None
    for each in attempts:
        if each.source != source and each.source:
            yield f"{turn_sources.SOURCES[each.source].title} ({each.source})"
        source = each.source
        url = f"{each.url:{width}}  " if each.url else ""
        if each.relay:
            took = f"{each.seconds * 1000:.0f} ms"
            yield f"  ✓ {url}{each.relay} in {took}{_expiry(each, now)}"
        elif each.unused:
            yield f"  - {url}not used: {each.unused}"
        else:
            yield f"  ✗ {url}{each.reason}"


def _expiry(attempt: RelayAttempt, now: float) -> str:
    if attempt.expires is None:
        return ""
    ends = datetime.fromtimestamp(attempt.expires, UTC)
    return f", until {ends:%H:%M:%S} UTC ({attempt.expires - now:.0f} s)"


def _advice(source: str, attempts: Iterable[RelayAttempt]) -> Iterator[str]:
    """Yield what to do about the failed attempts at one source."""
    own = [each for each in attempts if each.source == source]
    kinds = {each.kind for each in own}
    by_tcp = {host for each in own if each.relay and (host := _host(each.url, "tcp"))}
    no_udp = {host for each in own if each.kind == "timeout" and (host := _host(each.url, "udp"))}
    if both := by_tcp & no_udp:
        yield (
            f"{', '.join(sorted(both))} answers over TCP but not over UDP: a firewall here blocks "
            "UDP. Calls from here use TCP, which is slower; from a VPC in AWS, UDP works."
        )
    if kinds & {"credentials", "source"}:
        yield turn_sources.SOURCES[source].credentials_hint
    if "tls" in kinds:
        yield "To trust your own certificate authority:  export SSL_CERT_FILE=/path/to/ca.pem"
    if "dns" in kinds:
        yield "Check the host name, and whether this machine resolves others."
    if "timeout" in kinds and not by_tcp and not any(each.relay for each in own):
        yield "No answer over UDP or TCP: check the address, and firewalls on the way."


def _host(url: str, transport: str) -> str | None:
    parsed = read_url(url)
    return parsed.host if parsed and parsed.transport == transport else None


def _variables(
    project: Project, env: Mapping[str, str], options: TurnCheckOptions
) -> dict[str, str]:
    """Return the agent's environment, with a stage's channels if KVS is to be checked."""
    own = dict(agent_spec(project, env).env)
    if options.sources:
        own[turn_sources.CHOICE] = ",".join(options.sources)
    chosen = turn_sources.chosen(own)
    if options.stage or turn_sources.SOURCES[turn_sources.KVS] in chosen:
        deployment = deployment_of(project, options.stage or DEFAULT_STAGE)
        channels = turn_channels.turn_variables(deployment)
        own = {**channels, **own, "AWS_REGION": deployment.stage.region}
    return own


def _document(attempts: Sequence[RelayAttempt], mistakes: Sequence[TurnMistake]) -> dict[str, Any]:
    return {
        "ways": [
            {key: value for key, value in vars(each).items() if value not in ("", 0.0, None)}
            for each in attempts
        ],
        "without_relay": sources_without_relay(attempts),
        "mistakes": [vars(mistake) for mistake in mistakes],
    }
