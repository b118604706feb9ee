"""Who we are to a registry: ECR's token from AWS, or what Docker's own login has kept."""

# botocore and docker have no types; each is called in one place.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from voicecore.console.errors import VoicecoreError

# Amazon ECR User Guide, Registries ("registry URIs"); `dkr-ecr` and `on.aws` are its dual-stack
# endpoints, `-fips` the FIPS ones.
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
)


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


class Logins:
    """The logins of one command: each registry's is asked for once, and anew by who is refused."""

    def __init__(self, profile: str | None = None) -> None:
        self.profile = profile
        """Of AWS; None: as boto3 chooses."""
        self._kept: dict[str, Login | None] = {}

    def of(self, host: str) -> Source:
        """Gives what is kept of `host` first, and from then on what is new."""
        fetch = source_for(host, self.profile)
        asked = False

        def login() -> Login | None:
            nonlocal asked
            if asked or host not in self._kept:
                self._kept[host] = fetch()
            asked = True
            return self._kept[host]

        return login


def ecr_source(ecr: EcrHost, profile: str | None = None) -> Source:
    """Tokens of an ECR registry, by boto3 and its usual settings; each is valid for 12 hours.

    The source raises AwsRefused.
    """

    def login() -> Login:
        # Importing botocore takes 0.1 s, which a push to another registry does not pay.
        from voicecore.aws.errors import translated_errors
        from voicecore.aws.session import open_session

        with translated_errors(profile=profile):
            answer = open_session(ecr.region, profile).client("ecr").get_authorization_token()
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        username, _, password = token.partition(":")
        return Login(username, password)

    return login


def docker_source(host: str) -> Source:
    """The login that Docker keeps for `host`, in its config.json or in a credential helper.

    None where it keeps none. The source raises HelperFailed.
    """

    def login() -> Login | None:
        # The SDK and its HTTP library take as long to import as boto3, which ECR does with.
        import docker.auth
        from docker.errors import DockerException

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
