"""Owns how AWS credentials are found: botocore's chain, and what its failures mean.

botocore's providers also raise bare exceptions, such as FileNotFoundError for a missing helper.
Here each failure is a BotoCoreError, with what to type next.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import getpass
import re
import shlex
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from voicecore.console.errors import VoicecoreError

NO_ANSWER = (botocore.HTTPClientError, botocore.ConnectionError)
"""The exceptions that botocore raises, after its own retries, when no answer came at all."""

Profiles = Mapping[str, Mapping[str, Any]]
"""The settings of each profile in the AWS config files."""

_TRANSLATED_ELSEWHERE = (*NO_ANSWER, ClientError, VoicecoreError, botocore.NoCredentialsError)

_MISCONFIGURED = (
    botocore.InvalidConfigError,
    botocore.PartialCredentialsError,
    botocore.UnknownCredentialError,
)

WEB_IDENTITY_ADVICE = (
    "In CI, let the job write a new token (GitHub Actions: permissions: id-token: write), "
    "or unset AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN."
)
"""Advice for a web identity token that is not usable."""

# By METHOD of botocore's providers: what cannot be used, and what to do.
_PLACES = {
    "assume-role-with-web-identity": (
        "the web identity token (AWS_WEB_IDENTITY_TOKEN_FILE)",
        WEB_IDENTITY_ADVICE,
    ),
    "container-role": (
        "the credentials of this container (AWS_CONTAINER_CREDENTIALS_FULL_URI)",
        "Outside a container, unset AWS_CONTAINER_CREDENTIALS_FULL_URI and "
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.",
    ),
    "iam-role": (
        "the role of this machine (EC2 instance metadata)",
        "Outside EC2:  export AWS_EC2_METADATA_DISABLED=true",
    ),
    "env": (
        "the credentials in the environment (AWS_ACCESS_KEY_ID)",
        "Export new credentials, or unset AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
        "AWS_SESSION_TOKEN and AWS_CREDENTIAL_EXPIRATION.",
    ),
}


_OF_MACHINES = {"credential_source", "web_identity_token_file"}
"""Settings of profiles whose credentials no person logs in for."""


class CredentialsUnusable(BotoCoreError):
    """The place that credentials come from is known, but gives none."""

    fmt = "{reason}"

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason=reason)
        self.advice = advice
        """What to do, or the command to type."""

    def retry(self, command: str) -> str:
        """Return how to repeat a command after the advice was followed."""
        return command


class CodeNeeded(CredentialsUnusable):
    """A profile needs the code of an MFA device, and no one can be asked for it."""

    def retry(self, command: str) -> str:
        """Return the command without a profile, which would ask for the code again."""
        return re.sub(r" --profile ('[^']*'|\S+)", "", command)


class CredentialChain:
    """botocore's chain of credential providers, as the component of a session.

    The code of an MFA device is asked for in the main thread only, and if `can_ask`.
    """

    def __init__(self, session: Any, can_ask: bool) -> None:
        self._session = session
        self._resolver = session.get_component("credential_provider")
        self._profile = str(session.get_config_variable("profile") or "default")
        self._can_ask = can_ask
        self._asked = False
        # The public way is to build the provider and its six collaborators.
        self._resolver.get_provider("assume-role")._prompter = self._ask

    @property
    def is_personal(self) -> bool:
        """True when other programs cannot find these credentials without a person or awscrt."""
        source = source_profile(self._profile, self._profiles)
        return self._asked or "login_session" in self._profiles.get(source, {})

    @property
    def _profiles(self) -> Profiles:
        try:
            return self._session.full_config["profiles"]
        except BotoCoreError:
            return {}  # the files cannot be parsed

    def load_credentials(self) -> Any:
        """Return the first credentials found; None without any. Raises CredentialsUnusable."""
        for provider in self._resolver.providers:
            with self.explained(provider.METHOD):
                found = provider.load()
            if found is not None:
                return _ExplainedCredentials(self, found)
        return None

    @contextmanager
    def explained(self, method: str) -> Generator[None]:
        """Turn what a provider raises in the block into CredentialsUnusable.

        Answers of AWS and failures of the network are not the provider's.
        """
        try:
            yield
        except (CredentialsUnusable, *_TRANSLATED_ELSEWHERE):
            raise
        except Exception as error:
            raise explain(error, method, self._profile, self._profiles) from error

    def _ask(self, prompt: str) -> str:
        if not self._can_ask or threading.current_thread() is not threading.main_thread():
            name = shlex.quote(self._profile)
            raise CodeNeeded(
                f"AWS profile {self._profile!r} needs the code of an MFA device, which cannot be "
                "asked for here.",
                "Ask for it first, in a shell with a terminal:\n"
                f'eval "$(aws configure export-credentials --profile {name} --format env)"',
            )
        self._asked = True
        try:
            while not re.fullmatch(r"\d{6}", code := getpass.getpass(prompt).strip()):
                prompt = "The code has six digits: "
        except EOFError:
            raise KeyboardInterrupt from None
        return code


class _ExplainedCredentials:
    """Credentials whose renewal fails as finding them does."""

    def __init__(self, chain: CredentialChain, found: Any) -> None:
        self._chain = chain
        self._found = found

    def get_frozen_credentials(self) -> Any:
        """Return the credentials of this moment, renewed if necessary."""
        with self._chain.explained(self._found.method):
            return self._found.get_frozen_credentials()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)


def explain(error: Exception, method: str, profile: str, profiles: Profiles) -> CredentialsUnusable:
    """Return why `profile` gives no credentials, and what to do.

    `method` is the METHOD of the provider that raised `error`.
    """
    source = source_profile(profile, profiles)
    reason = _reason(error)
    if isinstance(error, botocore.RefreshWithMFAUnsupportedError):
        return CredentialsUnusable(
            "The AWS session that began with an MFA code has ended.",
            f"For a longer one, set duration_seconds of profile {profile!r}.",
        )
    if isinstance(error, botocore.MissingDependencyException):
        return CredentialsUnusable(
            f"AWS profile {source!r} cannot be used: {reason}.",
            "Install voicecore again, with its dependencies:\n"
            "uv tool install --reinstall voicecore-cli   (or pipx reinstall voicecore-cli, "
            "or pip install 'botocore[crt]')",
        )
    name, settings = shlex.quote(source), profiles.get(source, {})
    if method in _PLACES and "web_identity_token_file" not in settings:
        place, advice = _PLACES[method]
        return CredentialsUnusable(f"Could not use {place}: {reason}.", advice)
    if isinstance(error, _MISCONFIGURED) or settings.keys() & _OF_MACHINES:
        return CredentialsUnusable(
            f"The settings of AWS profile {profile!r} give no credentials: {reason}.",
            f"See its settings:  aws configure list --profile {shlex.quote(profile)}\n"
            "Correct them in ~/.aws/config.",
        )
    if "credential_process" in settings:
        return CredentialsUnusable(
            f"credential_process of AWS profile {source!r} failed: {reason}.",
            "Run its command by itself; to see the command:\n"
            f"aws configure get credential_process --profile {name}",
        )
    return CredentialsUnusable(
        f"The login of AWS profile {source!r} cannot be used: {reason}.",
        f"Log in again:  {login_command(source, profiles)}",
    )


def source_profile(profile: str, profiles: Profiles) -> str:
    """Return the profile at the end of a chain of roles: the one that a person logs in to."""
    seen = [profile]
    while (source := profiles.get(seen[-1], {}).get("source_profile")) and source not in seen:
        seen.append(source)
    return seen[-1]


def login_command(profile: str, profiles: Profiles) -> str:
    """Return the command that logs in to `profile`."""
    command = "aws login" if "login_session" in profiles.get(profile, {}) else "aws sso login"
    return command if profile == "default" else f"{command} --profile {shlex.quote(profile)}"


def _reason(error: Exception) -> str:
    """Return the cause in one line; never what a helper printed on stdout, which is a secret."""
    if isinstance(error, BotoCoreError):
        text = str(cast("Any", error).kwargs.get("error_msg") or error)
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, UnicodeDecodeError | AttributeError | TypeError | KeyError):
        text = "it gave no JSON object with AccessKeyId and SecretAccessKey"
    elif type(error).__name__ == "JSONDecodeError":
        text = "it gave no JSON"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())[-300:].rstrip(".")
