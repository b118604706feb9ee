"""Who we are to a registry: ECR's token from AWS, or what Docker's own login has kept."""

# boto3 and docker have no types; each is called in one place.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker.auth
from docker.errors import DockerException

from voicecore.errors import ExitCode, VoicecoreError

# Amazon ECR User Guide, Registries ("registry URIs"); `dkr-ecr` and `on.aws` are its dual-stack
# endpoints, `-fips` the FIPS ones.
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
)

# Amazon STS API Reference, Common Errors; ECR answers with the same codes.
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN = {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"}


class EcrRefused(VoicecoreError):
    """AWS gave no token for its registry: no credentials, expired ones, or no permission."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.AWS_REFUSED)


class HelperFailed(VoicecoreError):
    """The credential helper that Docker's config.json names failed."""


@dataclass(frozen=True)
class Login:
    """What opens a registry: a name and password, or a token in their place."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    """OAuth2 refresh token that some credential helpers hand out instead."""

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


Source = Callable[[], Login | None]
"""Gives a login that is valid now, or None for nobody; asked anew when one has expired. Blocks."""


@dataclass(frozen=True)
class EcrHost:
    """What the name of an ECR registry says."""

    account: str
    region: str


def ecr_host(host: str) -> EcrHost | None:
    """The account and region of an ECR registry; None for any other registry."""
    found = _ECR.fullmatch(host)
    return EcrHost(found["account"], found["region"]) if found else None


def source_for(host: str, profile: str | None = None) -> Source:
    """Where logins of the registry at `host` come from; `profile` is one of AWS's."""
    ecr = ecr_host(host)
    return ecr_source(ecr, profile) if ecr else docker_source(host)


def ecr_source(ecr: EcrHost, profile: str | None = None) -> Source:
    """Tokens of an ECR registry, by boto3 and its usual settings; each is valid for 12 hours.

    The source raises EcrRefused.
    """

    def login() -> Login:
        # A quarter second to import, which a push to another registry need not wait for.
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

        # A build waits: botocore's own patience would be a minute for each of five tries.
        patience = Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 3})
        try:
            session = boto3.Session(profile_name=profile, region_name=ecr.region)
            client = session.client("ecr", config=patience)
            answer = client.get_authorization_token()
        except ClientError as error:
            raise _refused(error.response, ecr) from error
        except EndpointConnectionError as error:
            raise EcrRefused(f"AWS cannot be reached: {error}.") from error
        except BotoCoreError as error:
            # No credentials, an unknown profile, an SSO session that has ended: botocore's own
            # sentence says which.
            raise EcrRefused(
                f"There are no AWS credentials for the registry: {error}", LOG_IN
            ) from error
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        username, _, password = token.partition(":")
        return Login(username, password)

    return login


LOG_IN = (
    "Log in to AWS:   aws sso login   (or: aws configure)\n"
    "and see whom AWS takes you for:  aws sts get-caller-identity"
)


def _refused(response: Mapping[str, Any], ecr: EcrHost) -> EcrRefused:
    told = response.get("Error", {})
    code, message = told.get("Code", ""), told.get("Message", "")
    if code in EXPIRED:
        return EcrRefused("Your AWS credentials have expired.", LOG_IN)
    if code in UNKNOWN:
        return EcrRefused(f"AWS does not know your credentials: {message}", LOG_IN)
    if "AccessDenied" in code:
        return EcrRefused(
            f"AWS does not let you log in to its registry in {ecr.region}: {message}",
            "The action that is missing:  ecr:GetAuthorizationToken  (on resource *)",
        )
    return EcrRefused(f"AWS refused a token for its registry in {ecr.region}: {code}: {message}")


def docker_source(host: str) -> Source:
    """The login that Docker keeps for `host`, in its config.json or in a credential helper.

    None where it keeps none. The source raises HelperFailed.
    """

    def login() -> Login | None:
        try:
            with warnings.catch_warnings():
                # Of a helper that is not installed; the error says so as well.
                warnings.simplefilter("ignore", UserWarning)
                found = docker.auth.load_config().resolve_authconfig(host)
        except DockerException as error:
            raise HelperFailed(
                f"Docker's credentials for {host} cannot be read: {error}",
                f"Log in again:  docker login {host}",
            ) from error
        # Docker's helpers and its config.json differ in the case of these names.
        kept = {str(name).lower(): str(value or "") for name, value in (found or {}).items()}
        if not kept.get("password") and not kept.get("identitytoken"):
            return None
        return Login(
            kept.get("username", ""), kept.get("password", ""), kept.get("identitytoken", "")
        )

    return login
