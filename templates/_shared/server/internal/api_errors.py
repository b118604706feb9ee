"""Owns the error answers of all routes, in one form."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ReadTimeoutError,
)
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from . import logs

# AWS's answers to too many requests, or for a session that is being created or ended.
BUSY_STATUSES = (402, 409, 429, 503)
BUSY_SECONDS = 2


class ApiError(HTTPException):
    """An error answer: HTTP status, a code for programs and a message for people.

    `retry_after`: seconds after which the same request may succeed.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int = 0) -> None:
        headers = {"Retry-After": str(retry_after)} if retry_after else None
        super().__init__(status, message, headers)
        self.code = code


class ErrorDetail(BaseModel):
    """The code and the message of an error."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """The body of every answer with a status of 400 and above."""

    error: ErrorDetail
    info: str = Field(description="The message again, for Pipecat's clients, which show this.")


def answers(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return these statuses for the OpenAPI document."""
    return {status: {"model": ErrorAnswer} for status in statuses}


def install(app: FastAPI, table_errors: tuple[type[Exception], ...]) -> None:
    """Make the app answer all errors in this form; `table_errors` are the session table's."""

    async def answer_table_error(request: Request, error: Exception) -> JSONResponse:
        message = "The session table cannot be reached."
        refusal = ApiError(503, "no_session_table", message, BUSY_SECONDS)
        refusal.__cause__ = error
        return await answer_error(request, refusal)

    for kind in (HTTPException, RequestValidationError, ClientError, BotoCoreError):
        app.add_exception_handler(kind, answer_error)
    for kind in (ClientDisconnect, TimeoutError, Exception):
        app.add_exception_handler(kind, answer_error)
    for kind in table_errors:
        app.add_exception_handler(kind, answer_table_error)


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """Return the answer to an error, without AWS's message, which may name secrets."""
    refusal = error if isinstance(error, HTTPException) else api_error_for(error)
    if refusal.status_code >= 500:
        kind, cause = type(error).__name__, error.__cause__ or error.__context__
        because = type(cause).__name__ if cause else ""
        logs.write("failed", level="ERROR", code=code_of(refusal), error=kind, because=because)
    return answer_of(refusal)


def answer_of(refusal: HTTPException) -> JSONResponse:
    """Return the answer to a request that is refused."""
    error = {"code": code_of(refusal), "message": refusal.detail}
    body = {"error": error, "info": refusal.detail}
    return JSONResponse(body, refusal.status_code, refusal.headers)


def code_of(refusal: HTTPException) -> str:
    """Return the error's code for programs."""
    return refusal.code if isinstance(refusal, ApiError) else f"http_{refusal.status_code}"


def api_error_for(error: Exception) -> ApiError:
    """Return the error that the caller sees, without AWS's own message."""
    match error:
        case RequestValidationError():
            first = error.errors()[0]
            text = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
            # Names come from the caller, and may contain any characters.
            return ApiError(422, "bad_request", text.encode("ascii", "replace").decode()[:300])
        case ClientDisconnect():  # the answer is not read
            return ApiError(400, "incomplete", "The body is not complete.")
        case ClientError():
            code = error.response.get("Error", {}).get("Code", "unknown")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            logs.write("aws_refused", level="ERROR", code=code, operation=error.operation_name)
            if status in BUSY_STATUSES or "Throttl" in code or "Throughput" in code:
                return ApiError(503, "aws_busy", f"AWS is busy: {code}.", BUSY_SECONDS)
            return ApiError(502, "aws_refused", f"AWS refused the request: {code}.")
        case NoCredentialsError():
            return ApiError(503, "no_credentials", "The server has no AWS credentials.")
        case TimeoutError() | ReadTimeoutError():
            return ApiError(504, "aws_timeout", "AWS did not answer in time.")
        case BotoCoreError():
            return ApiError(503, "aws_unreachable", "AWS cannot be reached.", BUSY_SECONDS)
        case _:
            return ApiError(500, "internal", "Internal server error.")
