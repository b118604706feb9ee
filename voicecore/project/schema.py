"""Owns the settings of voicecore.toml: their limits, and what is wrong with given values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from voicecore.catalog import regions
from voicecore.catalog.endpoints import internet_needs
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import CUSTOM, PIPELINES
from voicecore.catalog.pipelines.record import Pipeline, regions_of, services_of, used_by
from voicecore.catalog.platforms import PLATFORMS
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.transports import DEFAULT as DEFAULT_TRANSPORT
from voicecore.catalog.transports.record import Transport
from voicecore.catalog.turn_sources import KVS, SOURCES
from voicecore.project import aws_names, identity
from voicecore.project.defaults import MAX_LIFETIME
from voicecore.project.invalid_setting import (
    InvalidSetting,
    did_you_mean,
    invalid_number,
    one_of,
    unknown,
    unknown_keys,
)
from voicecore.project.settings.account_rules import RULES, invalid_rules, stage_rules
from voicecore.project.settings.network import invalid_network
from voicecore.project.settings.observability import OBSERVABILITY, invalid_observability
from voicecore.project.settings.programs import SERVER_KEYS, invalid_programs
from voicecore.project.version import is_version

PEAK_CALLS_MAX = 2500
"""Concurrent sessions that AgentCore allows in most regions (bedrock-agentcore-limits)."""

CONCURRENCY_MAX = 900
"""Executions that an account of AWS's default quota, 1000, can reserve for one function (Lambda
Developer Guide, configuration-concurrency)."""

DRAIN_MINUTES_MAX = 60
"""Longest deregistration delay of a target group (ELB, target group attributes)."""

LIFETIMES = (60, 28_800)
"""Least and most seconds for idle_timeout and max_lifetime (runtime-lifecycle-settings)."""

LOG_RETENTION_DAYS = 30

# CloudWatch Logs API Reference, PutRetentionPolicy: retentionInDays.
_RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip

_BY_MODEL = ", or give the ID of a text model of Amazon Bedrock, such as amazon.nova-pro-v1:0"
_ACCOUNT = re.compile(r"[0-9]{12}")
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_CERTIFICATE = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]{36}")


def invalid_settings(answers: dict[str, Any]) -> Iterator[InvalidSetting]:
    """Yield everything wrong with the content of voicecore.toml, or the answers of init."""
    known = (
        "name", "id", "transports", "pipeline", "region", "services", "voicecore",
        "account", "platform", "network", "vpc", "turn", BY_PHONE, "agent", "server", "stages",
        OBSERVABILITY,
        *RULES,
    )  # fmt: skip
    yield from unknown_keys("", answers, known)
    for key in ("name", "transports", "pipeline", "region"):
        if key not in answers:
            yield InvalidSetting(key, "is missing")

    yield from _invalid_name(answers)
    if not identity.is_id(answers.get("id", identity.new_id())):
        yield InvalidSetting("id", f"must be 3 to 40 of a-z, 0-9 and hyphens{identity.ID_HINT}")
    if not is_version(answers.get("voicecore", "0")):
        yield InvalidSetting("voicecore", 'must be a version in quotes, such as "0.1.0"')
    pipeline = answers.get("pipeline")
    yield from _invalid_transports(
        answers.get("transports", [DEFAULT_TRANSPORT]), may_be_empty=pipeline == CUSTOM
    )
    if pipeline is not None and pipeline not in tuple(PIPELINES):
        yield unknown("pipeline", pipeline, tuple(PIPELINES))

    services = answers.get("services", {})
    if not isinstance(services, dict):
        yield InvalidSetting("services", "must be a table")
        services = {}
    chosen = cast("dict[str, Any]", services)
    record = PIPELINES.get(pipeline) if isinstance(pipeline, str) else None
    if record:
        yield from _invalid_services(record, chosen)
    named = {stage: name for stage, name in chosen.items() if isinstance(name, str)}
    needs = _RegionNeeds(record, named, _uses_kvs(answers))
    if "region" in answers:
        yield from _invalid_region("region", answers["region"], needs)

    yield from _invalid_account("account", answers)
    yield from _invalid_platform("platform", answers)
    yield from invalid_rules("", answers, answers.get("region"))
    transports = _known_transports(answers)
    used = used_by(record, services_of(record, named)) if record else ()
    yield from invalid_network(answers, transports, internet_needs(used, transports))
    yield from _invalid_turn(answers.get("turn", {}))
    yield from _invalid_telephony(answers)
    yield from invalid_programs(answers)
    yield from invalid_observability(answers.get(OBSERVABILITY, {}))
    yield from _invalid_server("server", answers, SERVER_KEYS)
    stages = answers.get("stages", {})
    if not isinstance(stages, dict):
        yield InvalidSetting("stages", "must be a table that has one table per stage")
    else:
        for name, stage in cast("dict[str, Any]", stages).items():
            yield from _invalid_stage(name, stage, needs, answers)


def _invalid_name(answers: dict[str, Any]) -> Iterator[InvalidSetting]:
    name = answers.get("name", "")
    if not isinstance(name, str):
        yield InvalidSetting("name", "must be a string")
    elif "name" in answers:
        for problem in aws_names.name_problems(name):
            yield InvalidSetting("name", f"{name!r} is not valid: {problem}")


def _uses_kvs(answers: dict[str, Any]) -> bool:
    """Return whether TURN credentials come from KVS, which not every region offers."""
    turn = answers.get("turn")
    source = cast("dict[str, Any]", turn).get("source", KVS) if isinstance(turn, dict) else KVS
    return source == KVS and any(t.turn for t in _known_transports(answers))


def _known_transports(answers: dict[str, Any]) -> list[Transport]:
    chosen = answers.get("transports")
    if not isinstance(chosen, list):
        return []
    return [t for t in TRANSPORTS.values() if t.name in cast("list[object]", chosen)]


def _invalid_transports(transports: object, may_be_empty: bool) -> Iterator[InvalidSetting]:
    if not isinstance(transports, list) or not (transports or may_be_empty):
        yield InvalidSetting(
            "transports", 'must be a list with at least one name, such as ["websocket"]'
        )
        return
    chosen = cast("list[object]", transports)
    for transport in chosen:
        if transport not in tuple(TRANSPORTS):
            yield unknown("transports", transport, tuple(TRANSPORTS))
    if len(set(map(str, chosen))) < len(chosen):
        yield InvalidSetting("transports", "lists a transport twice")


def _invalid_services(pipeline: Pipeline, services: dict[str, Any]) -> Iterator[InvalidSetting]:
    for key, service in services.items():
        if key not in pipeline.stages:
            known = ", ".join(pipeline.stages) or "none"
            yield InvalidSetting(
                key, f"pipeline {pipeline.name!r} has no such choice (its choices: {known})"
            )
        elif not isinstance(service, str) or pipeline.service(key, service) is None:
            named = unknown(key, service, tuple(o.name for o in pipeline.stages[key]))
            by_model = _BY_MODEL if key in pipeline.by_model else ""
            yield InvalidSetting(key, f"{named.message}{by_model}")


@dataclass(frozen=True)
class _RegionNeeds:
    """Services that a region must offer."""

    pipeline: Pipeline | None
    services: dict[str, str]
    kvs: bool


def _invalid_region(key: str, region: object, needs: _RegionNeeds) -> Iterator[InvalidSetting]:
    if region not in regions.AGENTCORE:
        yield InvalidSetting(
            key,
            f"{region!r} is not a region of AgentCore Runtime"
            f"{did_you_mean(str(region), regions.AGENTCORE) or one_of(regions.AGENTCORE)}",
        )
        return
    pipeline = needs.pipeline
    offered = regions.AGENTCORE
    if pipeline:
        services = services_of(pipeline, needs.services)
        offered = regions_of(pipeline, services)
        missing = [each.title for each in used_by(pipeline, services) if region not in each.regions]
        if missing:
            yield InvalidSetting(key, f"{region!r} lacks {' and '.join(missing)}{one_of(offered)}")
    if needs.kvs and region not in regions.KVS:
        both = tuple(r for r in offered if r in regions.KVS)
        yield InvalidSetting(
            key,
            f"{region!r} has no TURN servers from Kinesis Video Streams{one_of(both)}; "
            "or set another source in [turn]",
        )


def _invalid_account(key: str, settings: dict[str, Any]) -> Iterator[InvalidSetting]:
    account = settings.get("account", "0" * 12)
    if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
        yield InvalidSetting(key, 'must be 12 digits in quotes, such as "123456789012"')


def _invalid_platform(key: str, settings: dict[str, Any]) -> Iterator[InvalidSetting]:
    # Any region may have any platform: AWS lists none completely, and answers when it is asked.
    if (platform := settings.get("platform", PLATFORMS[0])) not in PLATFORMS:
        yield unknown(key, platform, PLATFORMS)


def _invalid_turn(turn: object) -> Iterator[InvalidSetting]:
    if not isinstance(turn, dict):
        yield InvalidSetting("turn", "must be a table")
        return
    own = cast("dict[str, Any]", turn)
    yield from unknown_keys("turn.", own, ("source", "peak_calls"))
    source = own.get("source", KVS)
    if source not in tuple(SOURCES):
        yield unknown("turn.source", source, tuple(SOURCES))
    yield from invalid_number("turn.peak_calls", own.get("peak_calls", 1), (1, PEAK_CALLS_MAX))


def _invalid_telephony(answers: dict[str, Any]) -> Iterator[InvalidSetting]:
    by_phone = any(transport.by_phone for transport in _known_transports(answers))
    if BY_PHONE not in answers:
        if by_phone:
            yield InvalidSetting(BY_PHONE, 'is missing: [telephony] with providers = ["twilio"]')
        return
    table = answers[BY_PHONE]
    if not isinstance(table, dict):
        yield InvalidSetting(BY_PHONE, "must be a table")
        return
    own = cast("dict[str, Any]", table)
    yield from unknown_keys("telephony.", own, ("providers",))
    providers = own.get("providers")
    if not isinstance(providers, list) or not providers:
        yield InvalidSetting(
            "telephony.providers", 'must be a list with at least one name, such as ["twilio"]'
        )
        return
    chosen = cast("list[object]", providers)
    for provider in chosen:
        if provider not in tuple(PHONES):
            yield unknown("telephony.providers", provider, tuple(PHONES))
    if len(set(map(str, chosen))) < len(chosen):
        yield InvalidSetting("telephony.providers", "lists a provider twice")
    if not by_phone:
        yield InvalidSetting(BY_PHONE, 'is used only with the transport "telephony"')


def _invalid_server(
    key: str, settings: dict[str, Any], program: tuple[str, ...] = ()
) -> Iterator[InvalidSetting]:
    """Yield what is wrong with [server], or with that of a stage, except its `program` keys."""
    if "server" not in settings:
        return
    table = settings["server"]
    if not isinstance(table, dict):
        yield InvalidSetting(key, "must be a table")
        return
    own = cast("dict[str, Any]", table)
    known = ("domain", "certificate", "peak_calls", "drain_minutes", "concurrency", *program)
    yield from unknown_keys(f"{key}.", own, known)
    for name, pattern, example in (
        ("domain", _DOMAIN, "a domain name such as 'phone.example.com'"),
        ("certificate", _CERTIFICATE, "an ARN such as 'arn:aws:acm:REGION:ACCOUNT:certificate/ID'"),
    ):
        value = own.get(name)
        if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
            yield InvalidSetting(f"{key}.{name}", f"{value!r} is not {example}")
    if "domain" in own and "certificate" not in own:
        yield InvalidSetting(
            f"{key}.domain", "needs certificate too: the ARN of a certificate for that name"
        )
    if "certificate" in own and "domain" not in own:
        yield InvalidSetting(
            f"{key}.certificate", "needs domain too: the name that the certificate is for"
        )
    yield from invalid_number(f"{key}.peak_calls", own.get("peak_calls", 1), (1, PEAK_CALLS_MAX))
    drain = own.get("drain_minutes", 0)
    yield from invalid_number(f"{key}.drain_minutes", drain, (0, DRAIN_MINUTES_MAX))
    concurrency = own.get("concurrency", 1)
    yield from invalid_number(f"{key}.concurrency", concurrency, (1, CONCURRENCY_MAX))


def _invalid_stage(
    name: str, stage: object, needs: _RegionNeeds, project: dict[str, Any]
) -> Iterator[InvalidSetting]:
    for problem in aws_names.stage_name_problems(name):
        yield InvalidSetting(f"stages.{name}", f"{name!r} is not valid: {problem}")
    if not isinstance(stage, dict):
        yield InvalidSetting(f"stages.{name}", f"must be a table: [stages.{name}]")
        return
    own = cast("dict[str, Any]", stage)
    table = f"stages.{name}."
    known = (
        "region", "account", "platform", "idle_timeout", "max_lifetime", "log_retention_days",
        "server", *RULES,
    )  # fmt: skip
    yield from unknown_keys(table, own, known)
    yield from _invalid_server(f"{table}server", own)
    if "region" in own:
        yield from _invalid_region(f"{table}region", own["region"], needs)
    yield from _invalid_account(f"{table}account", own)
    yield from _invalid_platform(f"{table}platform", own)
    yield from invalid_rules(
        table, stage_rules(own, project), own.get("region", project.get("region"))
    )
    times = [
        *invalid_number(f"{table}idle_timeout", own.get("idle_timeout", 60), LIFETIMES, "s"),
        *invalid_number(f"{table}max_lifetime", own.get("max_lifetime", 60), LIFETIMES, "s"),
    ]
    yield from times
    if not times and own.get("idle_timeout", 0) > own.get("max_lifetime", MAX_LIFETIME):
        yield InvalidSetting(f"{table}idle_timeout", "is longer than max_lifetime")
    days = own.get("log_retention_days", LOG_RETENTION_DAYS)
    if not isinstance(days, int) or isinstance(days, bool) or days not in _RETENTIONS:
        yield InvalidSetting(
            f"{table}log_retention_days",
            f"{days!r} is not a retention period of CloudWatch Logs; "
            f"choose from {', '.join(map(str, _RETENTIONS))}",
        )
