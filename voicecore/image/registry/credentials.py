"""Owns logins to registries: ECR's token from AWS, or what `docker login` has stored."""

# botocore and docker have no types; each is called in one place.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from voicecore.aws.login import AwsLogin
from voicecore.console.errors import VoicecoreError

# Amazon ECR User Guide, Registries ("registry URIs"); `dkr-ecr` and `on.aws` are its dual-stack
# endpoints, `-fips` the FIPS ones.
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
)


class CredentialHelperFailed(VoicecoreError):
    """The credential helper named in Docker's config.json failed."""


@dataclass(frozen=True)
class RegistryLogin:
    """A username and password, or an identity token in their place."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    """OAuth2 refresh token that some credential helpers give instead of a password."""

    def basic(self) -> str:
        """Return the value of an Authorization header (RFC 7617)."""
        pair = f"{self.username}:{self.password}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


LoginSource = Callable[[], RegistryLogin | None]
"""Returns a valid login, or None for anonymous access; called again when one expires. Blocks."""


@dataclass(frozen=True)
class EcrHost:
    """Account and region in the host name of an ECR registry."""

    account: str
    region: str


def ecr_host(host: str) -> EcrHost | None:
    """Return the account and region of an ECR registry; None for any other registry."""
    found = _ECR.fullmatch(host)
    return EcrHost(found["account"], found["region"]) if found else None


def login_source(host: str, login: AwsLogin) -> LoginSource:
    """Return the source of logins to the registry at `host`; ECR's come with an AWS login."""
    ecr = ecr_host(host)
    return _ecr_login(ecr, login) if ecr else _docker_login(host)


class RegistryLogins:
    """The logins of one command: fetched once per registry, and again after a refusal."""

    def __init__(self, login: AwsLogin) -> None:
        self.aws = login
        """The command's login to AWS, for ECR."""
        self._kept: dict[str, RegistryLogin | None] = {}

    def source_for(self, host: str) -> LoginSource:
        """Return a source that gives the known login to `host` first, and then new ones."""
        fetch = login_source(host, self.aws)
        asked = False

        def login() -> RegistryLogin | None:
            nonlocal asked
            if asked or host not in self._kept:
                self._kept[host] = fetch()
            asked = True
            return self._kept[host]

        return login


def _ecr_login(ecr: EcrHost, aws: AwsLogin) -> LoginSource:
    """Return a source of ECR tokens, each valid for 12 hours. It raises AwsRefused."""

    def login() -> RegistryLogin:
        # Imported late: botocore takes a tenth of a second, which other registries do not need.
        from voicecore.aws.errors import translated_errors

        with translated_errors(profile=aws.profile):
            answer = aws.open(ecr.region).client("ecr").get_authorization_token()
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
        username, _, password = token.partition(":")
        return RegistryLogin(username, password)

    return login


def _docker_login(host: str) -> LoginSource:
    """Return a source of the login stored in Docker's config.json or its credential helper.

    The source returns None without a login. It raises CredentialHelperFailed.
    """

    def login() -> RegistryLogin | None:
        # Imported late: ECR does not need the SDK and its HTTP library.
        import docker.auth
        from docker.errors import DockerException

        try:
            with warnings.catch_warnings():
                # The SDK warns about a helper that is not installed, and then raises as well.
                warnings.simplefilter("ignore", UserWarning)
                found = docker.auth.load_config().resolve_authconfig(host)
        except DockerException as error:
            raise CredentialHelperFailed(
                f"Could not read Docker's credentials for {host}: {error}",
                f"Log in again:  docker login {host}\n"
                "If the helper is no longer installed, first delete credsStore and credHelpers in "
                "~/.docker/config.json.",
            ) from error
        # Helpers and config.json spell these names in different case.
        kept = {str(name).lower(): str(value or "") for name, value in (found or {}).items()}
        if not kept.get("password") and not kept.get("identitytoken"):
            return None
        return RegistryLogin(
            kept.get("username", ""), kept.get("password", ""), kept.get("identitytoken", "")
        )

    return login
