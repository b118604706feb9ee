"""Who we are in AWS and where: the session, its clients, and AWS's refusals in plain words."""

# botocore has no types; clients and what they answer are Any here and everywhere in cloud/.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

from botocore import exceptions as botocore
from botocore.config import Config

from voicecore import __version__
from voicecore.aws.botocore_session import new_session
from voicecore.aws.errors import (
    EXPIRED,
    SIGNATURE,
    UNKNOWN,
    AwsRefused,
    code_of,
    is_denied,
    is_throttled,
    words_of,
)
from voicecore.aws.known_failures import failure_in
from voicecore.catalog import regions
from voicecore.console.errors import ExitCode, VoicecoreError

CLOCK_TOLERANCE = timedelta(minutes=4)
"""How wrong this machine's clock may be; AWS refuses signatures from 5 minutes on (SigV4)."""

_CONFIG = Config(
    # Standard mode retries throttling and lost connections, with growing pauses and jitter.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=20,
    tcp_keepalive=True,
    user_agent_extra=f"voicecore/{__version__}",
)


class NoCredentials(AwsRefused):
    """Nobody said who we are in AWS."""


class CredentialsRefused(AwsRefused):
    """AWS does not know these credentials, or knows them no longer."""


class NotAllowed(AwsRefused):
    """The identity lacks a permission."""


class WrongClock(AwsRefused):
    """The clock of this machine is too wrong for signatures."""


class BadRegion(VoicecoreError):
    """There is no such region, or AgentCore is not in it."""


class Unreachable(AwsRefused):
    """No answer came from AWS."""


class WrongAccount(AwsRefused):
    """The credentials are of another account than the project says."""


@dataclass(frozen=True)
class Identity:
    """Who AWS says we are."""

    account: str
    arn: str
    skew: timedelta
    """How far this machine's clock is ahead of AWS's."""

    @property
    def partition(self) -> str:
        """The first part of every ARN: aws, or aws-us-gov in GovCloud."""
        return self.arn.split(":")[1]


class Aws:
    """One account in one region, as one identity; its clients may be used from any thread."""

    def __init__(self, session: Any, region: str, profile: str | None, identity: Identity) -> None:
        self._session = session
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.region = region
        self.profile = profile
        self.identity = identity
        self.calls = 0
        """Requests sent to AWS so far, retries among them."""
        session.register("before-send", self._count)

    def _count(self, **_: Any) -> None:
        self.calls += 1

    def elsewhere(self, region: str) -> Aws:
        """The same identity in another region."""
        return Aws(self._session, region, self.profile, self.identity)

    @property
    def account(self) -> str:
        """The account's twelve digits."""
        return self.identity.account

    def client(self, service: str) -> Any:
        """The client of `service` in this region, made at first use."""
        with self._lock:  # botocore makes clients in one thread at a time only
            if service not in self._clients:
                self._clients[service] = self._session.create_client(
                    service, region_name=self.region, config=_CONFIG
                )
            return self._clients[service]


def connect(region: str, profile: str | None = None) -> Aws:
    """The account that boto3's own chain finds: flags, environment, profile, SSO, instance.

    Raises what `refusals` explains, and NoCredentials for a profile that does not exist.
    """
    try:
        session = new_session(profile)
    except botocore.ProfileNotFound as error:
        known = tuple(cast("list[str]", new_session().available_profiles)) if profile else ()
        near = regions.closest(profile or "", known)
        raise NoCredentials(
            f"{error}.".replace("..", "."),
            f"Did you mean {near!r}?" if near else f"There are: {', '.join(known) or 'none'}.",
        ) from error
    session.set_config_variable("region", region)
    answer = session.create_client("sts", region_name=region, config=_CONFIG).get_caller_identity()
    now = datetime.now(UTC)
    return Aws(
        session,
        region,
        profile,
        Identity(answer["Account"], answer["Arn"], now - (_time_of(answer) or now)),
    )


def check_region(region: str | None) -> None:
    """Raise BadRegion for what is said but is no region of AgentCore."""
    if region and region not in regions.AGENTCORE:
        near = regions.closest(region, regions.AGENTCORE)
        raise BadRegion(
            f"--region {region!r} is not a region of AgentCore Runtime.",
            f"Did you mean {near!r}?" if near else f"There are: {', '.join(regions.AGENTCORE)}.",
            ExitCode.USAGE,
        )


def check_account(identity: Identity, wanted: str | None) -> None:
    """Raise WrongAccount unless the account is the one that voicecore.toml names, if it does."""
    if wanted and identity.account != wanted:
        raise WrongAccount(
            f"This is account {identity.account}, but voicecore.toml says account = {wanted!r}.",
            "Take the credentials of that account:  export AWS_PROFILE=…\n"
            "(or --profile NAME; `aws configure list-profiles` lists them)",
        )


@contextmanager
def refusals(again: str, profile: str | None = None) -> Generator[None]:
    """Turns what boto3 raises in the block into what happened, why, and what to type next.

    `again` is the command that continues.
    """
    try:
        yield
    except (botocore.ClientError, botocore.BotoCoreError) as error:
        raise refusal_of(error, again, profile) from error


def refusal_of(error: Exception, again: str, profile: str | None = None) -> AwsRefused:
    """What boto3's `error` means to a person."""
    if isinstance(error, botocore.ClientError):
        return _answered(error, again, profile)
    login = _login(profile)
    match error:
        case botocore.NoCredentialsError() | botocore.PartialCredentialsError():
            return NoCredentials(
                f"No AWS credentials were found: {error}."
                if isinstance(error, botocore.PartialCredentialsError)
                else "No AWS credentials were found.",
                "Log in (aws configure sso, or aws configure), then choose the profile:\n"
                f"export AWS_PROFILE=…\n{again}",
            )
        case (
            botocore.SSOError()
            | botocore.TokenRetrievalError()
            | botocore.CredentialRetrievalError()
            | botocore.NoAuthTokenError()
        ):
            return CredentialsRefused(
                f"The AWS login cannot be used: {error}", f"Log in again:  {login}\n{again}"
            )
        case botocore.LoginError():
            return CredentialsRefused(
                f"The AWS login cannot be used: {error}", f"Log in again:  aws login\n{again}"
            )
        case botocore.HTTPClientError() | botocore.ConnectionError():
            return Unreachable(
                f"AWS does not answer: {error}",
                f"What was started in AWS goes on there. When the network is back:\n{again}",
            )
        case _:
            known = failure_in(str(error))
            return AwsRefused(f"{error}", known.fix if known else None)


def _answered(error: botocore.ClientError, again: str, profile: str | None) -> AwsRefused:
    code, words = code_of(error), words_of(error)
    server = _time_of(cast("Mapping[str, Any]", error.response))
    skew = datetime.now(UTC) - server if server else timedelta()
    login = _login(profile)
    if code in SIGNATURE | EXPIRED and abs(skew) > CLOCK_TOLERANCE:
        return clock_is_wrong(skew)
    if code in EXPIRED:
        return CredentialsRefused(
            "The AWS credentials have expired.",
            "What was started in AWS goes on there. "
            f"Renew them, as by  {login}  and go on:\n{again}",
        )
    if code in UNKNOWN | SIGNATURE:
        return CredentialsRefused(
            f"AWS refuses these credentials: {words}",
            f"Choose others:  export AWS_PROFILE=…  or log in again:  {login}\n{again}",
        )
    if is_denied(error):
        return denial_of(words, error.operation_name, again)
    if is_throttled(error):
        return AwsRefused(
            f"AWS is asked too often in this account ({error.operation_name}): {words}",
            f"Wait a minute, then go on:\n{again}",
        )
    known = failure_in(f"{code}: {words}")
    return AwsRefused(
        f"AWS refuses {error.operation_name} ({code}): {words}",
        f"{known.fix}\n{again}" if known else None,
    )


def _login(profile: str | None) -> str:
    return f"aws sso login --profile {profile}" if profile else "aws sso login"


def clock_is_wrong(skew: timedelta) -> WrongClock:
    """The error for a clock that is `skew` ahead of AWS's."""
    minutes = abs(skew).total_seconds() / 60
    side = "ahead" if skew > timedelta() else "behind"
    return WrongClock(
        f"This machine's clock is {minutes:.0f} minutes {side}; AWS refuses its signatures.",
        "Set it by NTP (Linux: sudo timedatectl set-ntp true; "
        "macOS: sudo sntp -sS time.apple.com).",
    )


_ACTION = re.compile(
    r"not authorized to perform:? (?P<action>[a-z0-9-]+:\w+)"
    r"(?: on (?:the )?resource: (?P<resource>[^\s\",;]+))?"
)
_WHO = re.compile(r"(?P<arn>arn:aws[\w-]*:(?:sts|iam)::\d{12}:\S+) is not authorized")


def denial_of(words: str, operation: str, again: str) -> NotAllowed:
    """The error for a missing permission: which action, and the statement that would allow it."""
    found = _ACTION.search(words)
    who = _WHO.search(words)
    name = who["arn"] if who else "this identity"
    if not found:
        return NotAllowed(
            f"{name} may not do {operation}: {words}",
            f"Ask who runs the account for {operation}; then go on:\n{again}",
        )
    action, resource = found["action"], (found["resource"] or "*").rstrip(".")
    if "explicit deny" in words:
        return NotAllowed(
            f"{name} may not do {action} on {resource}: a policy denies it explicitly.",
            f"{words}\nAsk who owns that policy; then go on:\n{again}",
        )
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})
    return NotAllowed(
        f"{name} may not do {action} on {resource}.",
        f"Add this statement to its policy:\n{statement}\nThen go on:\n{again}",
    )


def _time_of(answer: Mapping[str, Any]) -> datetime | None:
    """When AWS answered, by its own clock, if it said so."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None
