"""Owns the connection to AWS: one account, region and identity, and its clients."""

# botocore has no types; clients and their answers are Any here and everywhere above.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import IO, Any, cast

from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    InvalidConfigError,
    InvalidEndpointConfigurationError,
    NoCredentialsError,
    ProfileNotFound,
)
from botocore.loaders import create_loader
from botocore.session import Session

from voicecore import __version__
from voicecore.aws.credentials import CredentialChain
from voicecore.aws.errors import (
    FAILURES,
    SERVICE,
    AwsRefused,
    NoAwsCredentials,
    is_unknown,
    server_time,
)
from voicecore.catalog import regions
from voicecore.console.errors import ExitCode, VoicecoreError

_CONFIG = Config(
    # Standard mode retries throttling and lost connections, with growing delays and jitter.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=20,
    tcp_keepalive=True,
    user_agent_extra=f"voicecore/{__version__}",
)

# Regions that every account of a partition has.
_HOMES = ("us-east-1", "us-gov-west-1")

# Services whose IAM prefix is not their signing name (Service Authorization Reference).
_IAM_PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}


class BadRegion(VoicecoreError):
    """The region does not exist, or AgentCore is not available there."""


class RegionRefused(AwsRefused):
    """The region does not know these credentials, which AWS knows elsewhere."""


class WrongAccount(AwsRefused):
    """The credentials belong to another account than the one in voicecore.toml."""


@dataclass(frozen=True)
class Identity:
    """The identity that AWS sees."""

    account: str
    arn: str
    skew: timedelta
    """Time that this machine's clock is ahead of AWS."""

    @property
    def partition(self) -> str:
        """The first part of every ARN: aws, or aws-us-gov in GovCloud."""
        return self.arn.split(":")[1]

    @property
    def name(self) -> str:
        """Name of the user or of the role's session; root for the account itself."""
        return self.arn.split(":", 5)[5].rpartition("/")[2]


class Aws:
    """One account in one region, as one identity; its clients may be used from any thread."""

    def __init__(
        self,
        session: Any,
        region: str,
        profile: str | None,
        identity: Identity | None = None,
        lock: threading.Lock | None = None,
    ) -> None:
        self._session = session
        self._clients: dict[str, Any] = {}
        self._lock = lock or threading.Lock()
        self._identity = identity
        self.region = region
        self.profile = profile
        self.calls = 0
        """Requests sent to AWS so far, retries included."""
        session.register("before-send", self._count)
        session.register("after-call", _add_service)

    def _count(self, **_: Any) -> None:
        self.calls += 1

    def in_region(self, region: str) -> Aws:
        """Return the same identity in another region."""
        return Aws(self._session, region, self.profile, self._identity, self._lock)

    @property
    def identity(self) -> Identity:
        """The identity behind the credentials; STS is asked at first use."""
        return self._identity or self.identify()

    def identify(self) -> Identity:
        """Ask STS for the identity behind the credentials."""
        self._identity = self._identity_here()
        return self._identity

    def _identity_here(self) -> Identity:
        try:
            answer = self.client("sts").get_caller_identity()
        except ClientError as error:
            if is_unknown(error) and (known := self._identity_elsewhere()):
                raise refused_region(self.region, known) from error
            raise
        now = datetime.now(UTC)
        skew = now - (server_time(answer) or now)
        return Identity(answer["Account"], answer["Arn"], skew)

    def _identity_elsewhere(self) -> Identity | None:
        """Return the identity by a region that every account of its partition has, or None."""
        for home in _HOMES:
            try:
                answer = self.in_region(home).client("sts").get_caller_identity()
            except FAILURES:
                continue
            return Identity(answer["Account"], answer["Arn"], timedelta())
        return None

    @property
    def account(self) -> str:
        """The account's twelve digits."""
        return self.identity.account

    @property
    def partition(self) -> str:
        """The partition of the account: aws, or aws-us-gov in GovCloud."""
        return self.identity.partition

    def client(self, service: str) -> Any:
        """Return the client of `service` in this region, created at first use."""
        with self._lock:  # a session creates clients in one thread at a time only
            if service not in self._clients:
                self._clients[service] = self._created(service)
            return self._clients[service]

    def credentials(self) -> Any:
        """Return the credentials, frozen. Raises NoCredentialsError."""
        found = self._session.get_credentials()
        if found is None:
            raise NoCredentialsError
        return found.get_frozen_credentials()

    def _created(self, service: str) -> Any:
        try:
            return self._session.create_client(service, region_name=self.region, config=_CONFIG)
        except ValueError as error:  # of AWS_ENDPOINT_URL
            raise InvalidEndpointConfigurationError(msg=str(error)) from error


def find_session(profile: str | None, region: str | None, can_ask: bool) -> Any:
    """Return a session whose credentials are found. `region` is for what gives them, such as STS.

    Raises botocore's errors, and NoAwsCredentials for a profile that does not exist.
    """
    try:
        session = new_session(profile)
        if region:
            session.set_config_variable("region", region)
        chain = CredentialChain(session, can_ask)
        session.register_component("credential_provider", chain)
        if credentials := session.get_credentials():
            credentials.get_frozen_credentials()
        return session
    except ProfileNotFound as error:
        raise _no_profile(profile, error) from error
    except ValueError as error:  # of a setting that must be a number
        raise InvalidConfigError(error_msg=str(error)) from error


def _no_profile(profile: str | None, error: ProfileNotFound) -> NoAwsCredentials:
    name = str(cast("Any", error).kwargs["profile"])
    anywhere = Session()
    anywhere.set_config_variable("profile", None)
    known = tuple(cast("list[str]", anywhere.available_profiles))
    near = regions.closest(name, known)
    named_by = "" if profile else ", which AWS_PROFILE names"
    others = f"Known profiles: {', '.join(known) or 'none'}."
    right = f"--profile {near}" if profile else f"export AWS_PROFILE={near}"
    return NoAwsCredentials(
        f"There is no AWS profile {name!r}{named_by}.",
        f"Did you mean {near!r}?  {right}" if near else others,
    )


def new_session(profile: str | None = None) -> Any:
    """Return a botocore session.

    botocore is boto3's own base; boto3 adds resources and S3 transfers, which take 0.1 s to import.
    Raises ProfileNotFound.
    """
    session = Session(profile=profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Any:
    """Return the loader of service descriptions: to parse one takes up to a third of a second."""
    return create_loader(data_path)


def upload(
    aws: Aws, file: IO[bytes], bucket: str, key: str, on_bytes: Callable[[int], None]
) -> None:
    """Upload `file` to a bucket of the account, in parts if it is large.

    `on_bytes` is called with the number of bytes that each step sent, from several threads.
    """
    from boto3.s3.transfer import (
        ProgressCallbackInvoker,
        TransferConfig,
        create_transfer_manager,
    )

    owner = {"ExpectedBucketOwner": aws.account}
    with create_transfer_manager(aws.client("s3"), TransferConfig()) as manager:
        manager.upload(file, bucket, key, owner, [ProgressCallbackInvoker(on_bytes)]).result()


def check_region(region: str | None) -> None:
    """Raise BadRegion if `region` is given and AgentCore is not available there."""
    if region and region not in regions.AGENTCORE:
        near = regions.closest(region, regions.AGENTCORE)
        raise BadRegion(
            f"--region {region!r} is not a region of AgentCore Runtime.",
            f"Did you mean {near!r}?" if near else f"Regions: {', '.join(regions.AGENTCORE)}.",
            ExitCode.USAGE,
        )


def refused_region(region: str, identity: Identity) -> RegionRefused:
    """Return why a region does not know an identity that AWS knows elsewhere."""
    if region.startswith("us-gov-") != (identity.partition == "aws-us-gov"):
        return RegionRefused(
            f"{region} is in another partition of AWS than these credentials, {identity.arn}.",
            "GovCloud has accounts of its own. Select a profile:  export AWS_PROFILE=…\n"
            "or another region in voicecore.toml.",
        )
    return RegionRefused(
        f"Account {identity.account} has not enabled the region {region}.",
        f"Enable it, which takes some minutes:  aws account enable-region --region-name {region}\n"
        "or select another region in voicecore.toml.",
    )


def check_account(identity: Identity, expected: str | None) -> None:
    """Raise WrongAccount if voicecore.toml names an account and this is another one."""
    if expected and identity.account != expected:
        raise WrongAccount(
            f"This is account {identity.account}, but voicecore.toml says account = {expected!r}.",
            "Use credentials of that account:  export AWS_PROFILE=…\n"
            "(or --profile NAME; `aws configure list-profiles` lists the profiles)",
        )


def _add_service(parsed: dict[str, Any], model: Any, **_: Any) -> None:
    """Add the service's IAM prefix to an answer, so that an error can name the missing action."""
    name = model.service_model.signing_name
    parsed.setdefault("ResponseMetadata", {})[SERVICE] = _IAM_PREFIXES.get(name, name)
