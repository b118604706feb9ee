"""Owns what the administrator of an AWS account prescribes: roles, tags, a key, a repository.

The settings are keys of voicecore.toml, for the project or for a stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from voicecore.project.invalid_setting import InvalidSetting

TAGS_MAX = 20
"""Most tags of [tags]: a resource can have 50, and a runtime has one more for each version."""

_RESERVED = ("aws:", "voicecore:")
_TAG_KEY_MAX, _TAG_VALUE_MAX = 128, 256

# The characters that every service with tags allows (Tagging AWS Resources, naming limits).
_TAG_TEXT = re.compile(r"[\w .:/=+@-]*")
_TAG_CHARACTERS = "letters, digits, spaces and . : / = + @ - _"

_ACCOUNT = "[0-9]{12}"
_ROLE = re.compile(rf"arn:aws[a-z-]*:iam::{_ACCOUNT}:role/[\w+=,.@/-]{{1,576}}")
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "role": (_ROLE, "'arn:aws:iam::ACCOUNT:role/NAME'"),
    "permissions_boundary": (
        re.compile(rf"arn:aws[a-z-]*:iam::({_ACCOUNT}|aws):policy/[\w+=,.@/-]{{1,640}}"),
        "'arn:aws:iam::ACCOUNT:policy/NAME'",
    ),
    # IAM API Reference, CreateRole: Path.
    "role_path": (re.compile(r"/(?=.{0,510}$)([\w+=,.@-]+/)*"), "'/teams/voice/'"),
    "service_role": (_ROLE, "'arn:aws:iam::ACCOUNT:role/NAME'"),
    "kms_key": (
        re.compile(rf"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):{_ACCOUNT}:key/[\w-]{{36}}"),
        "'arn:aws:kms:REGION:ACCOUNT:key/ID'",
    ),
    "repository": (
        re.compile(
            rf"(?P<account>{_ACCOUNT})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
            r"(?P<name>(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*)"
        ),
        "'ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME'",
    ),
}
"""Pattern and example of each setting that is a text."""


@dataclass(frozen=True, kw_only=True)
class AccountRules:
    """What the administrator of the account prescribes; without a value, voicecore decides."""

    role: str = ""
    """ARN of an existing execution role for the agent."""
    permissions_boundary: str = ""
    """ARN of the policy that bounds every role that voicecore creates."""
    role_path: str = "/"
    """Path of every role that voicecore creates."""
    service_role: str = ""
    """ARN of the role with which CloudFormation changes the stacks."""
    kms_key: str = ""
    """ARN of the key that encrypts secrets, log groups and a new image repository."""
    repository: str = ""
    """URI of an existing ECR repository for the images."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags of every resource, beside voicecore's own."""


RULES = tuple(each.name for each in fields(AccountRules))
"""The keys of voicecore.toml."""

_REGIONAL = ("kms_key", "repository")


def rules_of(*settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of AccountRules from valid settings; later ones win, tags are merged."""
    found = {key: each[key] for each in settings for key in RULES if key in each}
    tags = {key: value for each in settings for key, value in each.get("tags", {}).items()}
    return found | ({"tags": tags} if tags else {})


def stage_rules(stage: Mapping[str, Any], project: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stage's settings to check: its own, and for its own region, the project's."""
    inherited = [key for key in _REGIONAL if key in project and "region" in stage]
    return {key: project[key] for key in inherited} | dict(stage)


def invalid_rules(
    table: str, settings: Mapping[str, Any], region: object
) -> Iterator[InvalidSetting]:
    """Yield what is wrong with these settings, for this region; `table` ends with a dot."""
    for key, (pattern, example) in _FORMS.items():
        value = settings.get(key, "")
        if value == "":  # also for a stage that does without the project's
            continue
        found = pattern.fullmatch(value) if isinstance(value, str) else None
        if not found:
            yield InvalidSetting(f"{table}{key}", f"{value!r} is not of the form {example}")
        elif isinstance(region, str) and found.groupdict().get("region", region) != region:
            yield InvalidSetting(
                f"{table}{key}", f"is in {found['region']}, and the stage is in {region}"
            )
    if "tags" in settings:
        yield from _invalid_tags(f"{table}tags", settings["tags"])


def repository_arn(uri: str, partition: str) -> str:
    """Return the ARN of the repository with this URI."""
    found = _FORMS["repository"][0].fullmatch(uri)
    if found is None:
        raise ValueError(uri)
    place = f"{found['region']}:{found['account']}"
    return f"arn:{partition}:ecr:{place}:repository/{found['name']}"


def _invalid_tags(key: str, tags: object) -> Iterator[InvalidSetting]:
    if not isinstance(tags, dict):
        yield InvalidSetting(key, "must be a table of texts")
        return
    own = cast("dict[str, object]", tags)
    if len(own) > TAGS_MAX:
        yield InvalidSetting(key, f"has {len(own)} tags; at most {TAGS_MAX} are possible")
    for name, value in own.items():
        path = f"{key}.{name}"
        if name == "Name":
            yield InvalidSetting(path, "names single resources; voicecore sets it")
        elif name.lower().startswith(_RESERVED):
            what = "voicecore" if name.lower().startswith(_RESERVED[1]) else "AWS"
            yield InvalidSetting(path, f"has a prefix that is {what}'s own")
        elif not isinstance(value, str):
            yield InvalidSetting(path, "must be a text in quotes")
        elif not (0 < len(name) <= _TAG_KEY_MAX and len(value) <= _TAG_VALUE_MAX):
            yield InvalidSetting(
                path, f"is too long: {_TAG_KEY_MAX} characters, and {_TAG_VALUE_MAX} in its value"
            )
        elif not (_TAG_TEXT.fullmatch(name) and _TAG_TEXT.fullmatch(value)):
            yield InvalidSetting(path, f"may have {_TAG_CHARACTERS} only, as its value may")
