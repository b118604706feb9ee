"""Owns AWS's errors: their codes, voicecore's error classes, and the translation between them."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

from botocore import exceptions as botocore
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from voicecore.aws.credentials import (
    NO_ANSWER,
    WEB_IDENTITY_ADVICE,
    CredentialsUnusable,
    login_command,
)
from voicecore.aws.known_failures import find_known_failure
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import proxy_advice, trust_advice

FAILURES = (ClientError, botocore.BotoCoreError, ResponseParserError)
"""All that botocore raises for a call: a refusal, a failure of its own, an answer not of AWS."""

CLOCK_TOLERANCE = timedelta(minutes=4)
"""Clock error that is tolerated; AWS rejects signatures from 5 minutes on (SigV4)."""

SERVICE = "Service"
"""Key in an answer's ResponseMetadata with the service's IAM prefix; session.Aws adds it."""

# Amazon STS API Reference, Common Errors; the services answer with these and some of their own.
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_UNKNOWN = {
    "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure",
    "InvalidToken", "IncompleteSignature", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
}  # fmt: skip
_SIGNATURE = {
    "SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed",
    "RequestInTheFuture",
}  # fmt: skip
_DENIED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden",
    "403",  # S3's answer to HEAD, which has no body
}  # fmt: skip
_THROTTLED = {
    "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded",
}  # fmt: skip
_QUOTA = {
    "AccountLimitExceededException", "LimitExceeded", "LimitExceededException", "TooManyBuckets",
}  # fmt: skip


class AwsRefused(VoicecoreError):
    """AWS did not do what voicecore asked."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.AWS_REFUSED)


class NoAwsCredentials(AwsRefused):
    """No AWS credentials were found."""


class CredentialsRefused(AwsRefused):
    """AWS rejected the credentials, or they have expired."""


class NotAllowed(AwsRefused):
    """The identity lacks a permission."""

    def __init__(self, message: str, hint: str, action: str) -> None:
        super().__init__(message, hint)
        self.action = action
        """The missing IAM action ("iam:CreateRole"), or the API operation if it is unknown."""


class WrongClock(AwsRefused):
    """The clock of this machine is too wrong for AWS to accept its signatures."""


class AwsUnreachable(AwsRefused):
    """No answer came from AWS."""


class CertificateNotTrusted(AwsRefused):
    """The certificate of the answer, in AWS's place, is not trusted here."""


def code_of(error: ClientError) -> str:
    """Return AWS's code for the error, for example "AccessDeniedException"."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """Return AWS's message for the error."""
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


def is_denied(error: ClientError) -> bool:
    """Return True when the identity lacks a permission."""
    return code_of(error) in _DENIED


def is_throttled(error: ClientError) -> bool:
    """Return True when the account sends AWS too many requests."""
    return code_of(error) in _THROTTLED


def is_unknown(error: ClientError) -> bool:
    """Return True when AWS does not know the credentials, or not in this region."""
    return code_of(error) in _UNKNOWN


def is_expired(error: ClientError) -> bool:
    """Return True when the credentials have expired."""
    return code_of(error) in _EXPIRED


@contextmanager
def ignoring(*codes: str) -> Generator[None]:
    """Ignore errors in the block whose code is one of `codes`."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in codes:
            raise


@contextmanager
def translated_errors(again: str = "", profile: str | None = None) -> Generator[None]:
    """Turn what botocore raises in the block into AwsRefused, as `translate_error` does."""
    try:
        yield
    except FAILURES as error:
        raise translate_error(error, again, profile) from error


def translate_error(error: Exception, again: str = "", profile: str | None = None) -> AwsRefused:
    """Return botocore's `error` as what failed, why, and what to type next.

    `again` is the command that continues; without one, the hint does not name any.
    """
    profile = profile or _profile_of_environment()
    if isinstance(error, ClientError):
        return _translate_answer(error, again, profile)
    if isinstance(error, NO_ANSWER):
        return _translate_no_answer(error, again)
    match error:
        case botocore.NoCredentialsError() | botocore.PartialCredentialsError():
            partial = isinstance(error, botocore.PartialCredentialsError)
            return NoAwsCredentials(
                f"No AWS credentials were found: {error}."
                if partial
                else "No AWS credentials were found.",
                _hint(
                    "Log in (aws login, aws configure sso, or aws configure), then select the "
                    "profile:\nexport AWS_PROFILE=…",
                    again,
                ),
            )
        case CredentialsUnusable():
            return CredentialsRefused(str(error), _hint(error.advice, error.retry(again)))
        case botocore.ConfigParseError() | botocore.ConfigNotFound():
            return NoAwsCredentials(
                f"Could not read the AWS configuration: {error}.",
                _hint("Correct the file, or name another:  export AWS_CONFIG_FILE=…", again),
            )
        case ResponseParserError():
            return AwsUnreachable(
                f"The answer is not one of AWS: {_first_line(error)}",
                _hint(f"A proxy may have sent it. {proxy_advice(os.environ)}", again),
            )
        case _:
            known = find_known_failure(str(error))
            return AwsRefused(
                f"The AWS SDK failed: {error}",
                _hint(known.fix if known else _SETTINGS_ADVICE, again),
            )


_WEB_IDENTITY = "AssumeRoleWithWebIdentity"
_CONTINUES = "What has started in AWS continues there."
_VARIANT_ADVICE = (
    "Or this service has no such endpoint in this region:\n"
    "unset AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT"
)
_SETTINGS_ADVICE = (
    "If a setting causes it, it is in ~/.aws/config or in an AWS_… variable:\naws configure list"
)


def _translate_no_answer(error: Exception, again: str) -> AwsRefused:
    details = cast("Any", error).kwargs
    cause = _root_cause(details.get("error") or error)
    match error:
        case botocore.SSLError():
            host = urlsplit(str(details.get("endpoint_url"))).netloc
            return CertificateNotTrusted(
                f"The certificate of {host} is not trusted: {cause}.",
                _hint(trust_advice(os.environ), again),
            )
        case botocore.ProxyConnectionError():
            return AwsUnreachable(
                f"The proxy {details.get('proxy_url')} gives no connection to AWS: {cause}.",
                _hint(f"{_CONTINUES} {proxy_advice(os.environ)}", again),
            )
        case botocore.HTTPClientError() if cause.startswith("Invalid header value"):
            # The text has the key and the signature.
            return CredentialsRefused(
                "The AWS credentials have a character that no HTTP header may have.",
                _hint("Copy them again, without spaces and line ends.", again),
            )
        case _:
            url = str(details.get("endpoint_url", ""))
            variant = re.search(r"-fips\.|\.api\.aws", url)
            advice = _VARIANT_ADVICE if variant else proxy_advice(os.environ)
            return AwsUnreachable(
                f"AWS does not answer: {error}",
                _hint(f"{_CONTINUES} Wait until the network is back. {advice}", again),
            )


def _root_cause(error: object) -> str:
    """Return the innermost cause of urllib3's nested errors."""
    while isinstance(error, BaseException):
        causes = (*error.args, error.__cause__)
        inner = next((each for each in causes if isinstance(each, BaseException)), None)
        if inner is None:
            break
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _profile_of_environment() -> str | None:
    # botocore reads them from the process, too.
    return os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")


def _translate_answer(error: ClientError, again: str, profile: str | None) -> AwsRefused:
    code, message = code_of(error), message_of(error)
    service = str(error.response.get("ResponseMetadata", {}).get(SERVICE, ""))
    server = server_time(cast("Mapping[str, Any]", error.response))
    skew = datetime.now(UTC) - server if server else timedelta()
    login = login_command(profile or "default", {})
    if code in _SIGNATURE | _EXPIRED and abs(skew) > CLOCK_TOLERANCE:
        return clock_error(skew)
    if code in _EXPIRED and error.operation_name != _WEB_IDENTITY:
        return CredentialsRefused(
            "The AWS credentials have expired.",
            _hint(f"{_CONTINUES} Renew the credentials, for example:  {login}", again),
        )
    if code in _UNKNOWN | _SIGNATURE:
        return CredentialsRefused(
            f"AWS rejects these credentials: {message}",
            _hint(f"Select a profile:  export AWS_PROFILE=…  or log in again:  {login}", again),
        )
    if error.operation_name == _WEB_IDENTITY:
        return CredentialsRefused(
            f"AWS rejects the web identity token ({code}): {message}",
            _hint(WEB_IDENTITY_ADVICE, again),
        )
    if "MultiFactorAuthentication failed" in message:
        return CredentialsRefused(
            f"AWS rejects the MFA code: {message}",
            _hint("Each code works once: wait until the device shows the next.", again),
        )
    if is_denied(error):
        return permission_error(message, error.operation_name, again, service)
    if is_throttled(error):
        return AwsRefused(
            f"This account sends AWS too many requests ({error.operation_name}): {message}",
            _hint("Wait a minute.", again),
        )
    if code in _QUOTA:
        listing = f" --service-code {service}" if service else ""
        return AwsRefused(
            f"A quota of this AWS account does not allow {error.operation_name}: {message}",
            _hint(f"See the quotas:  aws service-quotas list-service-quotas{listing}", again),
        )
    known = find_known_failure(f"{code}: {message}")
    return AwsRefused(
        f"AWS refused {error.operation_name} ({code}): {message}",
        _hint(known.fix, again) if known else None,
    )


def clock_error(skew: timedelta) -> WrongClock:
    """Return the error for a clock that is `skew` ahead of AWS."""
    minutes = abs(skew).total_seconds() / 60
    side = "ahead" if skew > timedelta() else "behind"
    return WrongClock(
        f"This machine's clock is {minutes:.0f} minutes {side}, so AWS rejects its signatures.",
        "Set the clock by NTP (Linux: sudo timedatectl set-ntp true; "
        "macOS: sudo sntp -sS time.apple.com).",
    )


_DENIED_ACTION = re.compile(
    r"not authorized to perform:? (?P<action>[a-z0-9-]+:\w+)"
    r"(?: on (?:the )?resource: (?P<resource>[^\s\",;]+))?"
)
_DENIED_IDENTITY = re.compile(r"(?P<arn>arn:aws[\w-]*:(?:sts|iam)::\d{12}:\S+) is not authorized")

_REFUSALS = (
    (
        "service control policy",
        "a policy of your organization denies it",
        "Such a policy can deny a region, a resource without a tag, or a role without a "
        "permissions boundary. Ask its administrator. Then choose another region, or set [tags] or "
        "permissions_boundary in voicecore.toml.",
    ),
    (
        "explicit deny",
        "a policy denies it explicitly",
        "Ask the owner of that policy to change it.",
    ),
    (
        "permissions boundary",
        "no permissions boundary allows it",
        "Ask the owner of the boundary to allow this action in it.",
    ),
)
"""AWS's words for denials that no statement in the identity's policy lifts; why; the advice."""

# S3's actions whose names are not those of the operations (Service Authorization Reference).
_S3_ACTIONS = {
    "HeadBucket": "ListBucket",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "UploadPart": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "ListObjectsV2": "ListBucket",
}


def permission_error(message: str, operation: str, again: str, service: str = "") -> NotAllowed:
    """Return the error for a missing permission: its action, and the statement that allows it.

    `message` is AWS's. Where it names no action, the action follows from the API operation and the
    IAM prefix of the service, if that is known.
    """
    denied = _DENIED_ACTION.search(message)
    arn = _DENIED_IDENTITY.search(message)
    identity = arn["arn"] if arn else "This identity"
    if denied:
        action, resource = denied["action"], (denied["resource"] or "*").rstrip(".")
        said = ""
    elif service:
        names = _S3_ACTIONS if service == "s3" else {}
        action, resource = f"{service}:{names.get(operation, operation)}", "*"
        said = f" AWS says: {message}"
    else:
        return NotAllowed(
            f"{identity} is not allowed to do {operation}: {message}",
            _hint(f"Ask the owner of the account to allow {operation}.", again),
            operation,
        )
    refused = f"{identity} is not allowed to do {action} on {resource}"
    for words, why, advice in _REFUSALS:
        if words in message:
            return NotAllowed(f"{refused}: {why}.", _hint(f"{message}\n{advice}", again), action)
    statement = json.dumps({"Effect": "Allow", "Action": action, "Resource": resource})
    return NotAllowed(
        f"{refused}.{said}", _hint(f"Add this statement to its policy:\n{statement}", again), action
    )


def server_time(answer: Mapping[str, Any]) -> datetime | None:
    """Return when AWS answered by its own clock; None if the answer does not say."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(date) if date else None
    except ValueError:
        return None


def _hint(fix: str, again: str) -> str:
    return f"{fix}\nThen run:\n{again}" if again else fix
