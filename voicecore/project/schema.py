"""Everything that voicecore.toml may say, and all that can be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from voicecore.catalog import regions
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import Pipeline, regions_of, services_of
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.transports import DEFAULT as DEFAULT_TRANSPORT
from voicecore.catalog.transports.record import Transport
from voicecore.catalog.turn_sources import KVS, SOURCES
from voicecore.project import aws_names

PUBLIC = "public"
VPC = "vpc"

PEAK_CALLS_MAX = 2500
"""AgentCore's quota of sessions at once in most regions (bedrock-agentcore-limits)."""

DRAIN_MINUTES_MAX = 60
"""For how long a target group waits at most (ELB, target group attributes)."""

LIFETIMES = (60, 28_800)
"""Least and most seconds that a session may idle or live (runtime-lifecycle-settings)."""

IDLE_TIMEOUT = 900
MAX_LIFETIME = 28_800
LOG_RETENTION_DAYS = 30

# CloudWatch Logs API Reference, PutRetentionPolicy: retentionInDays.
_RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

# AgentCore API Reference, VpcConfig: up to 16 of each.
_VPC_LISTS = {
    "subnets": re.compile(r"subnet-[0-9a-z]{8,17}"),
    "security_groups": re.compile(r"sg-[0-9a-z]{8,17}"),
}
_VPC_LIST_MAX = 16

_ACCOUNT = re.compile(r"[0-9]{12}")
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]{36}")


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with an answer, and the key it was the answer to."""

    key: str
    message: str


def mistakes_in(answers: dict[str, Any]) -> Iterator[Mistake]:
    """Everything wrong with the answers of a voicecore.toml, or of `voicecore init`."""
    known = (
        "name", "transports", "pipeline", "region", "services", "voicecore",
        "account", "network", "vpc", "turn", BY_PHONE, "server", "stages",
    )  # fmt: skip
    yield from _unknown_keys("", answers, known)
    for key in ("name", "transports", "pipeline", "region"):
        if key not in answers:
            yield Mistake(key, "is missing")

    name = answers.get("name", "")
    if not isinstance(name, str):
        yield Mistake("name", "must be a string")
    elif "name" in answers:
        for mistake in aws_names.mistakes_in(name):
            yield Mistake("name", f"{name!r}: {mistake}")

    yield from _transport_mistakes(answers.get("transports", [DEFAULT_TRANSPORT]))

    pipeline = answers.get("pipeline")
    if pipeline is not None and pipeline not in tuple(PIPELINES):
        yield _unknown("pipeline", pipeline, tuple(PIPELINES))

    services = answers.get("services", {})
    if not isinstance(services, dict):
        yield Mistake("services", "must be a table")
        services = {}
    chosen = cast("dict[str, Any]", services)
    record = PIPELINES.get(pipeline) if isinstance(pipeline, str) else None
    if record:
        yield from _service_mistakes(record, chosen)
    place = _Place(record, chosen, _asks_kvs(answers))
    if "region" in answers:
        yield from _region_mistakes("region", answers["region"], place)

    yield from _account_mistakes("account", answers)
    yield from network_mistakes(answers, _known_transports(answers))
    turn = answers.get("turn", {})
    if not isinstance(turn, dict):
        yield Mistake("turn", "must be a table")
    else:
        yield from _turn_mistakes(cast("dict[str, Any]", turn))
    yield from _telephony_mistakes(answers)
    yield from _server_mistakes("server", answers)
    stages = answers.get("stages", {})
    if not isinstance(stages, dict):
        yield Mistake("stages", "must be a table, with a table for each stage")
    else:
        for name, stage in cast("dict[str, Any]", stages).items():
            yield from _stage_mistakes(name, stage, place)


def _asks_kvs(answers: dict[str, Any]) -> bool:
    """Whether TURN credentials come of Kinesis Video Streams, which not all regions have."""
    turn = answers.get("turn")
    source = cast("dict[str, Any]", turn).get("source", KVS) if isinstance(turn, dict) else KVS
    return source == KVS and any(t.turn for t in _known_transports(answers))


def _unknown_keys(table: str, settings: Iterable[str], known: tuple[str, ...]) -> Iterator[Mistake]:
    for key in settings:
        if key not in known:
            hint = did_you_mean(key, known) or (one_of(known) if table else "")
            yield Mistake(f"{table}{key}", f"is no setting{hint}")


def _known_transports(answers: dict[str, Any]) -> list[Transport]:
    chosen = answers.get("transports")
    if not isinstance(chosen, list):
        return []
    return [t for t in TRANSPORTS.values() if t.name in cast("list[object]", chosen)]


def _transport_mistakes(transports: object) -> Iterator[Mistake]:
    if not isinstance(transports, list) or not transports:
        yield Mistake("transports", 'must be a list with at least one name, as ["websocket"]')
        return
    chosen = cast("list[object]", transports)
    for transport in chosen:
        if transport not in tuple(TRANSPORTS):
            yield _unknown("transports", transport, tuple(TRANSPORTS))
    if len(set(map(str, chosen))) < len(chosen):
        yield Mistake("transports", "names one transport twice")


def _service_mistakes(pipeline: Pipeline, services: dict[str, Any]) -> Iterator[Mistake]:
    for stage, service in services.items():
        if stage not in pipeline.stages:
            stages = ", ".join(pipeline.stages) or "none"
            yield Mistake(
                stage, f"is no stage to choose in pipeline {pipeline.name!r} (it has: {stages})"
            )
        elif service not in (options := tuple(o.name for o in pipeline.stages[stage])):
            yield _unknown(stage, service, options)


@dataclass(frozen=True)
class _Place:
    """What a region must have."""

    pipeline: Pipeline | None
    services: dict[str, Any]
    kvs: bool


def _region_mistakes(key: str, region: object, place: _Place) -> Iterator[Mistake]:
    if region not in regions.AGENTCORE:
        yield Mistake(
            key,
            f"{region!r} is no region of AgentCore Runtime"
            f"{did_you_mean(str(region), regions.AGENTCORE) or one_of(regions.AGENTCORE)}",
        )
        return
    pipeline = place.pipeline
    good = regions.AGENTCORE
    if pipeline:
        good = regions_of(pipeline, services_of(pipeline, place.services))
        if region not in good:
            yield Mistake(
                key, f"{region!r} lacks a model of pipeline {pipeline.name!r}{one_of(good)}"
            )
    if place.kvs and region not in regions.KVS:
        both = tuple(r for r in good if r in regions.KVS)
        yield Mistake(
            key,
            f"{region!r} has no TURN of Kinesis Video Streams{one_of(both)}; "
            "or take it from another source, in [turn]",
        )


def _account_mistakes(key: str, settings: dict[str, Any]) -> Iterator[Mistake]:
    account = settings.get("account", "0" * 12)
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        yield Mistake(key, 'must be 12 digits in quotes, as "123456789012"')


def network_mistakes(answers: dict[str, Any], transports: Sequence[Transport]) -> Iterator[Mistake]:
    """What is wrong with `network` and [vpc], for these transports."""
    network, vpc = answers.get("network"), answers.get("vpc", {})
    if network is not None and network not in (VPC, PUBLIC):
        yield _unknown("network", network, (VPC, PUBLIC))
    if network == PUBLIC:
        for transport in transports:
            if transport.not_public:
                yield Mistake(
                    "network", f"{PUBLIC!r} cannot carry {transport.name!r}: {transport.not_public}"
                )
        if vpc:
            yield Mistake("vpc", f'is used only with network = "{VPC}"')
    if not isinstance(vpc, dict):
        yield Mistake("vpc", "must be a table")
        return
    yield from _vpc_mistakes(cast("dict[str, Any]", vpc))


def _vpc_mistakes(vpc: dict[str, Any]) -> Iterator[Mistake]:
    yield from _unknown_keys("vpc.", vpc, (*_VPC_LISTS, "ha"))
    for key, pattern in _VPC_LISTS.items():
        if key in vpc:
            yield from _id_mistakes(f"vpc.{key}", vpc[key], pattern)
    for key, other in (("subnets", "security_groups"), ("security_groups", "subnets")):
        if vpc.get(key) and not vpc.get(other):
            yield Mistake(f"vpc.{key}", f"needs {other} with it, in the same VPC")
    if not isinstance(vpc.get("ha", False), bool):
        yield Mistake("vpc.ha", "must be true or false")
    elif vpc.get("ha") and vpc.get("subnets"):
        yield Mistake("vpc.ha", "is about the network that voicecore makes, and subnets are yours")


def _id_mistakes(key: str, value: object, pattern: re.Pattern[str]) -> Iterator[Mistake]:
    ids = cast("list[object]", value)
    if not isinstance(value, list) or not 1 <= len(ids) <= _VPC_LIST_MAX:
        yield Mistake(key, f"must be a list of 1 to {_VPC_LIST_MAX} ids")
        return
    for item in ids:
        if not isinstance(item, str) or not pattern.fullmatch(item):
            example = pattern.pattern.split("-")[0] + "-0123456789abcdef0"
            yield Mistake(key, f"{item!r} is no id; one looks like {example!r}")
    if len(set(map(str, ids))) < len(ids):
        yield Mistake(key, "names one id twice")


def _turn_mistakes(turn: dict[str, Any]) -> Iterator[Mistake]:
    yield from _unknown_keys("turn.", turn, ("source", "peak_calls"))
    source = turn.get("source", KVS)
    if source not in tuple(SOURCES):
        yield _unknown("turn.source", source, tuple(SOURCES))
    yield from _number_mistakes("turn.peak_calls", turn.get("peak_calls", 1), (1, PEAK_CALLS_MAX))


def _telephony_mistakes(answers: dict[str, Any]) -> Iterator[Mistake]:
    by_phone = any(transport.by_phone for transport in _known_transports(answers))
    if BY_PHONE not in answers:
        if by_phone:
            yield Mistake(BY_PHONE, 'is missing: [telephony] with providers = ["twilio"]')
        return
    table = answers[BY_PHONE]
    if not isinstance(table, dict):
        yield Mistake(BY_PHONE, "must be a table")
        return
    own = cast("dict[str, Any]", table)
    yield from _unknown_keys("telephony.", own, ("providers",))
    providers = own.get("providers")
    if not isinstance(providers, list) or not providers:
        yield Mistake("telephony.providers", 'must be a list with at least one name, as ["twilio"]')
        return
    chosen = cast("list[object]", providers)
    for provider in chosen:
        if provider not in tuple(PHONES):
            yield _unknown("telephony.providers", provider, tuple(PHONES))
    if len(set(map(str, chosen))) < len(chosen):
        yield Mistake("telephony.providers", "names one provider twice")
    if not by_phone:
        yield Mistake(BY_PHONE, 'is used only with the transport "telephony"')


def _server_mistakes(key: str, settings: dict[str, Any]) -> Iterator[Mistake]:
    """What is wrong with [server], or with that of a stage."""
    if "server" not in settings:
        return
    table = settings["server"]
    if not isinstance(table, dict):
        yield Mistake(key, "must be a table")
        return
    own = cast("dict[str, Any]", table)
    yield from _unknown_keys(
        f"{key}.", own, ("domain", "certificate", "peak_calls", "drain_minutes")
    )
    for name, pattern, example in (
        ("domain", _DOMAIN, "phone.example.com"),
        ("certificate", _CERTIFICATE, "arn:aws:acm:REGION:ACCOUNT:certificate/ID"),
    ):
        value = own.get(name)
        if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
            yield Mistake(f"{key}.{name}", f"{value!r} is none; one looks like {example!r}")
    if "domain" in own and "certificate" not in own:
        yield Mistake(f"{key}.domain", "needs certificate with it: the ARN of one for that name")
    if "certificate" in own and "domain" not in own:
        yield Mistake(f"{key}.certificate", "needs domain with it: the name that it is for")
    yield from _number_mistakes(f"{key}.peak_calls", own.get("peak_calls", 1), (1, PEAK_CALLS_MAX))
    drain = own.get("drain_minutes", 0)
    yield from _number_mistakes(f"{key}.drain_minutes", drain, (0, DRAIN_MINUTES_MAX))


def _stage_mistakes(name: str, stage: object, place: _Place) -> Iterator[Mistake]:
    for mistake in aws_names.stage_mistakes_in(name):
        yield Mistake(f"stages.{name}", f"{name!r}: {mistake}")
    if not isinstance(stage, dict):
        yield Mistake(f"stages.{name}", f"must be a table: [stages.{name}]")
        return
    own = cast("dict[str, Any]", stage)
    table = f"stages.{name}."
    known = (
        "region", "account", "idle_timeout", "max_lifetime", "log_retention_days", "server",
    )  # fmt: skip
    yield from _unknown_keys(table, own, known)
    yield from _server_mistakes(f"{table}server", own)
    if "region" in own:
        yield from _region_mistakes(f"{table}region", own["region"], place)
    yield from _account_mistakes(f"{table}account", own)
    times = [
        *_number_mistakes(f"{table}idle_timeout", own.get("idle_timeout", 60), LIFETIMES, "s"),
        *_number_mistakes(f"{table}max_lifetime", own.get("max_lifetime", 60), LIFETIMES, "s"),
    ]
    yield from times
    if not times and own.get("idle_timeout", 0) > own.get("max_lifetime", MAX_LIFETIME):
        yield Mistake(f"{table}idle_timeout", "is longer than max_lifetime")
    days = own.get("log_retention_days", LOG_RETENTION_DAYS)
    if not isinstance(days, int) or isinstance(days, bool) or days not in _RETENTIONS:
        yield Mistake(
            f"{table}log_retention_days",
            f"{days!r} is not one of CloudWatch's: {', '.join(map(str, _RETENTIONS))}",
        )


def _number_mistakes(
    key: str, value: object, limits: tuple[int, int], unit: str = ""
) -> Iterator[Mistake]:
    low, high = limits
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        yield Mistake(key, f"must be a whole number from {low} to {high}{' ' * bool(unit)}{unit}")


def _unknown(key: str, value: object, choices: tuple[str, ...]) -> Mistake:
    hint = did_you_mean(str(value), choices) or one_of(choices)
    return Mistake(key, f"{value!r} is unknown{hint}")


def did_you_mean(word: str, choices: tuple[str, ...]) -> str:
    """The end of a sentence that names the choice which `word` was meant to be, if one is near."""
    match = regions.closest(word, choices)
    return f"; did you mean {match!r}?" if match else ""


def one_of(choices: tuple[str, ...]) -> str:
    """The end of a sentence that names all choices."""
    return f"; choose from {', '.join(choices)}"


def network_for(transports: Iterable[Transport], vpc: object) -> str:
    """The network mode where none is chosen: PUBLIC, unless something needs a VPC.

    PUBLIC costs nothing while nobody calls, and starts a session sooner; but no UDP gets out of it,
    so that what goes through TURN must go by TLS, where a lost packet holds up those behind it.
    """
    return VPC if vpc or any(t.not_public or t.turn for t in transports) else PUBLIC
