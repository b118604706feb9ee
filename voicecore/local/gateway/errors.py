"""What the front door answers when AWS would refuse: AWS's status and type, and our hint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused call. `kind` is the exception name of the `bedrock-agentcore` API model."""

    status: int
    kind: str
    message: str
    hint: str

    def body(self) -> dict[str, str]:
        """Return the JSON body: boto3 reads `message`, people read `hint`."""
        return {"message": self.message, "hint": self.hint}

    def headers(self) -> dict[str, str]:
        """Return the header by which boto3 picks the exception class."""
        return {"x-amzn-ErrorType": self.kind}


class Refused(Exception):
    """Carries a refusal from where it is decided to the one place that answers."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def validation(message: str, hint: str) -> Refusal:
    """400: the request itself is malformed."""
    return Refusal(400, "ValidationException", message, hint)


def denied(message: str, hint: str) -> Refusal:
    """403: the signature, or what it covers, is wrong."""
    return Refusal(403, "AccessDeniedException", message, hint)


def not_found(message: str, hint: str) -> Refusal:
    """404: no such runtime, endpoint or session."""
    return Refusal(404, "ResourceNotFoundException", message, hint)


def conflict(message: str, hint: str) -> Refusal:
    """409: the session is being torn down; boto3 tries this again by itself."""
    return Refusal(409, "RetryableConflictException", message, hint)


def quota(message: str, hint: str) -> Refusal:
    """402: more live sessions than the account may have."""
    return Refusal(402, "ServiceQuotaExceededException", message, hint)


def agent_failed(message: str, hint: str) -> Refusal:
    """424: the agent answered with an error, did not start, or crashed."""
    return Refusal(424, "RuntimeClientError", message, hint)


def wrong_path(message: str, hint: str) -> Refusal:
    """401 as AWS answers any path that it does not know, whatever the credentials."""
    return Refusal(401, "UnauthorizedException", message, hint)
