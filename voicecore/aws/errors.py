"""What AWS's errors are: their codes and what kind each is of; and our own for all of them."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from voicecore.console.errors import ExitCode, VoicecoreError

NO_ANSWER = (HTTPClientError, ConnectionError)
"""What boto3 raises, after tries of its own, when no answer came at all."""

# Amazon STS API Reference, Common Errors; the services answer with these and some of their own.
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
UNKNOWN = {
    "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure",
    "InvalidToken", "IncompleteSignature", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
}  # fmt: skip
SIGNATURE = {
    "SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed",
    "RequestInTheFuture",
}  # fmt: skip
_DENIED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden",
    "403",  # of S3's HEAD, which has no body to say more
}  # fmt: skip
_THROTTLED = {
    "Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded",
}  # fmt: skip


class AwsRefused(VoicecoreError):
    """AWS did not do what was asked."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.AWS_REFUSED)


def code_of(error: ClientError) -> str:
    """AWS's own name of the error, as "AccessDeniedException"."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """AWS's own sentence on the error."""
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


def is_denied(error: ClientError) -> bool:
    """Whether a permission is missing."""
    return code_of(error) in _DENIED


def is_throttled(error: ClientError) -> bool:
    """Whether AWS is asked too often."""
    return code_of(error) in _THROTTLED


@contextmanager
def ignoring(*codes: str) -> Generator[None]:
    """Go on after the block if AWS refuses with one of `codes`."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in codes:
            raise
