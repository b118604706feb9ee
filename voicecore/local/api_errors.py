"""Owns the errors that AgentCore's data plane answers: AWS's status and type, and our hint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiError:
    """One error response. `kind` is the exception name of the `bedrock-agentcore` API model."""

    status: int
    kind: str
    message: str
    hint: str

    def body(self) -> dict[str, str]:
        """Return the JSON body: boto3 reads `message`, people read `hint`."""
        return {"message": self.message, "hint": self.hint}

    def headers(self) -> dict[str, str]:
        """Return the header from which boto3 picks the exception class."""
        return {"x-amzn-ErrorType": self.kind}


class RequestRefused(Exception):
    """Carries an API error from the check that found it to the gateway, which answers with it."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


def validation_error(message: str, hint: str) -> ApiError:
    """400: the request itself is malformed."""
    return ApiError(400, "ValidationException", message, hint)


def access_denied(message: str, hint: str) -> ApiError:
    """403: the signature, or what it covers, is wrong."""
    return ApiError(403, "AccessDeniedException", message, hint)


def not_found(message: str, hint: str) -> ApiError:
    """404: no such runtime, endpoint or session."""
    return ApiError(404, "ResourceNotFoundException", message, hint)


def conflict(message: str, hint: str) -> ApiError:
    """409: the session is ending; boto3 retries this error by itself."""
    return ApiError(409, "RetryableConflictException", message, hint)


def quota_exceeded(message: str, hint: str) -> ApiError:
    """402: more live sessions than the account may have."""
    return ApiError(402, "ServiceQuotaExceededException", message, hint)


def agent_failed(message: str, hint: str) -> ApiError:
    """424: the agent answered with an error, did not start, or crashed."""
    return ApiError(424, "RuntimeClientError", message, hint)


def unauthorized(message: str, hint: str) -> ApiError:
    """401: no valid bearer token for a runtime with a JWT authorizer."""
    return ApiError(401, "UnauthorizedException", message, hint)


def unknown_path(message: str, hint: str) -> ApiError:
    """401: AWS answers this for any path that it does not know, whatever the credentials."""
    return ApiError(401, "UnauthorizedException", message, hint)
