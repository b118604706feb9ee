"""`voicecore turn check`: where each way to a TURN relay leads, from here.

The agent's own code looks, in the agent's own environment: what it finds is what a call will find.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voicecore.catalog import turn_sources
from voicecore.catalog.turn_sources.variables import TurnMistake, mistakes_in, read_url
from voicecore.cloud.stacks import turn_channels as channels
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.commands.dev import agent_spec
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.local.processes import venv
from voicecore.project import aws_names
from voicecore.project.project import Project, load_project

MODULE = "internal.turn_check"
_SECONDS = 60.0  # sources and relays have their own limits, of a few seconds

_WHERE = {
    "cloudflare": "CLOUDFLARE_TURN_KEY_ID and CLOUDFLARE_TURN_API_TOKEN are a TURN key's own, from "
    "Cloudflare's dashboard (Realtime, TURN server); an account's API token is not meant.",
    "twilio": "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are on the first page of Twilio's console.",
    "coturn": "COTURN_SECRET must be the static-auth-secret of your coturn, which needs "
    "use-auth-secret; and both clocks must agree:  date -u",
    "static": "Look at ICE_SERVER_USERNAME and ICE_SERVER_CREDENTIAL.",
    turn_sources.KVS: "The channels of a deployed stage hand them out:  voicecore status",
}
"""Where a source's credentials come from."""


@dataclass(frozen=True)
class TurnCheckOptions:
    """What was typed."""

    project: Path | None = None
    sources: tuple[str, ...] = ()
    stage: str | None = None
    """Whose channels of KVS are asked, too; None: of the default one, if KVS is a source."""
    json: bool = False


class NoRelay(VoicecoreError):
    """A source leads to no relay from here."""


class NoTurnHere(VoicecoreError):
    """There is nothing to check: no transport that needs TURN, or no source of it."""


class CheckFailed(VoicecoreError):
    """The agent's code did not come to an end."""


@dataclass(frozen=True)
class Way:
    """One way to a relay, and where it led (a line of the agent's turn_check.py)."""

    source: str
    url: str = ""
    relay: str = ""
    seconds: float = 0.0
    expires: int | None = None
    """When the credentials end, seconds since 1970; None if nothing says so."""
    unused: str = ""
    """Why the agent does not go this way."""
    kind: str = ""
    """FailureKind in the agent; empty where there was a relay."""
    reason: str = ""


def run(context: Context, options: TurnCheckOptions) -> ExitCode:
    """Make an allocation by every way of every source, and show where each led."""
    project = load_project((context.cwd / (options.project or "")).resolve())
    if not (project.agent / "internal" / "turn_check.py").exists():
        raise NoTurnHere(
            f"The agent of {project.name} has no transport that needs TURN.",
            "Add one beside what you have:  voicecore init --help",
            ExitCode.BAD_PROJECT,
        )
    if unknown := [name for name in options.sources if name not in turn_sources.SOURCES]:
        raise NoTurnHere(
            f"{unknown[0]!r} is no TURN source.",
            f"Choose of them:  voicecore turn check --source {next(iter(turn_sources.SOURCES))}\n"
            f"There are {', '.join(turn_sources.SOURCES)}.",
            ExitCode.USAGE,
        )
    with context.output.step("Installing the packages of agent/"):
        venv.sync([project.agent], context.env)
    variables = _variables(project, context.env, options)
    mistakes = mistakes_in(variables, in_aws=True, udp=True)
    ways = look(project, variables, options.sources)
    missing = without_relay(ways)
    if options.json:
        context.output.json(_document(ways, mistakes))
        return ExitCode.FAILED if missing or not ways else ExitCode.OK
    for line in shown(ways, time.time()):
        context.output.data(line)
    for mistake in mistakes:
        context.output.warn(f"{mistake.variable}: {mistake.message}. {mistake.hint}")
    if not ways:
        raise NoTurnHere(
            "No TURN source is set in agent/.env.",
            "Once deployed, KVS is:  voicecore turn check --stage dev\n"
            "Or set the variables of another:  "
            f"{', '.join(name for name in turn_sources.SOURCES if name != turn_sources.KVS)} "
            "(agent/internal/turn/)",
        )
    if missing:
        hints = [hint for name in missing for hint in advice(name, ways)]
        raise NoRelay(f"No relay by {' or '.join(missing)}.", "\n".join(hints))
    for hint in (hint for name in turn_sources.SOURCES for hint in advice(name, ways)):
        context.output.warn(hint)
    return ExitCode.OK


def look(project: Project, variables: Mapping[str, str], sources: Sequence[str]) -> list[Way]:
    """Where each way leads, as the agent sees it. Raises CheckFailed."""
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
    return read(done.stdout.splitlines())


def read(lines: Iterable[str]) -> list[Way]:
    """The ways that turn_check.py wrote of; what else is on its output is somebody's log."""
    found: list[Way] = []
    for line in lines:
        try:
            found.append(Way(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return sorted(
        found, key=lambda way: list(turn_sources.SOURCES).index(way.source) if way.source else -1
    )


def without_relay(ways: Iterable[Way]) -> list[str]:
    """The sources by which there is no relay."""
    sources = {way.source: False for way in ways} | {way.source: True for way in ways if way.relay}
    return [name or turn_sources.CHOICE for name, relayed in sources.items() if not relayed]


def shown(ways: Sequence[Way], now: float) -> Iterator[str]:
    """What a person reads: each source, each way, where it led."""
    width = max((len(way.url) for way in ways), default=0)
    before = None
    for way in ways:
        if way.source != before and way.source:
            yield f"{turn_sources.SOURCES[way.source].title} ({way.source})"
        before = way.source
        url = f"{way.url:{width}}  " if way.url else ""
        if way.relay:
            yield f"  ✓ {url}{way.relay} in {way.seconds * 1000:.0f} ms{_until(way, now)}"
        elif way.unused:
            yield f"  - {url}not used: {way.unused}"
        else:
            yield f"  ✗ {url}{way.reason}"


def _until(way: Way, now: float) -> str:
    if way.expires is None:
        return ""
    ends = datetime.fromtimestamp(way.expires, UTC)
    return f", until {ends:%H:%M:%S} UTC ({way.expires - now:.0f} s)"


def advice(source: str, ways: Iterable[Way]) -> Iterator[str]:
    """What to do about the ways of a source that led nowhere."""
    own = [way for way in ways if way.source == source]
    kinds = {way.kind for way in own}
    reached = {host for way in own if way.relay and (host := _host(way.url, "tcp"))}
    blocked = {host for way in own if way.kind == "timeout" and (host := _host(way.url, "udp"))}
    if both := reached & blocked:
        yield (
            f"{', '.join(sorted(both))} answers by TCP and not by UDP: a firewall here blocks UDP. "
            "Calls go by TCP from here, which is slower; from a VPC in AWS, UDP gets out."
        )
    if kinds & {"credentials", "source"}:
        yield _WHERE.get(source, "")
    if "tls" in kinds:
        yield "A certificate of your own is trusted by:  export SSL_CERT_FILE=/path/to/ca.pem"
    if "dns" in kinds:
        yield "Look at the host's name; and that this machine resolves others."
    if "timeout" in kinds and not reached and not any(way.relay for way in own):
        yield "Nothing answers, by UDP or TCP: look at the address, and at firewalls on the way."


def _host(url: str, transport: str) -> str | None:
    read = read_url(url)
    return read.host if read and read.transport == transport else None


def _variables(
    project: Project, env: Mapping[str, str], options: TurnCheckOptions
) -> dict[str, str]:
    """The agent's environment, as a deployed stage's where that is asked for."""
    own = dict(agent_spec(project, env).env)
    if options.sources:
        own[turn_sources.CHOICE] = ",".join(options.sources)
    asked = turn_sources.chosen(own)
    if options.stage or turn_sources.SOURCES[turn_sources.KVS] in asked:
        deployment = deployment_of(project, options.stage or aws_names.DEFAULT_STAGE)
        own = {**channels.variables_of(deployment), **own, "AWS_REGION": deployment.stage.region}
    return own


def _document(ways: Sequence[Way], mistakes: Sequence[TurnMistake]) -> dict[str, Any]:
    return {
        "ways": [{k: v for k, v in vars(way).items() if v not in ("", 0.0, None)} for way in ways],
        "without_relay": without_relay(ways),
        "mistakes": [vars(mistake) for mistake in mistakes],
    }


def _by_hand(argv: Sequence[str]) -> str:
    return f"By hand, in agent/:  {' '.join(argv)}"
