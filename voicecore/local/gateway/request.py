"""Owns what a request addresses and what the agent sees of it: paths, session IDs, headers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote

from voicecore.catalog.request_headers import ALLOWLIST_NAMES_MAX, CUSTOM_PREFIX, may_be_allowed
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.local.api_errors import ApiError, not_found, unknown_path, validation_error
from voicecore.local.limits import (
    HEADER_VALUE_MAX,
    SESSION_ID_MAX,
    SESSION_ID_MIN,
    TRACE_HEADER_MAX,
    USER_ID_MAX,
)

STATUS_PATH = "/_voicecore/status"
"""Path of the runtime's status; AWS has no such path."""

SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"
USER_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-User-Id"

Operation = Literal["invocations", "ws", "stopruntimesession", "commands", "agent-card"]
CARD_PATH = "/.well-known/agent-card.json"
_OPERATIONS: Mapping[str, tuple[Operation, str]] = {
    "/invocations": ("invocations", "POST"),
    "/ws": ("ws", "GET"),
    "/stopruntimesession": ("stopruntimesession", "POST"),
    "/commands": ("commands", "POST"),
    f"/invocations{CARD_PATH}": ("agent-card", "GET"),
}
"""Operations and their methods, by the end of the path (API reference)."""
_RUNTIMES = "/runtimes/"

_ALWAYS_FORWARDED = ("accept", "content-type", *TRACE_HEADER_MAX)
_SESSION_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The runtime, the endpoint (`qualifier`) and the operation of a request."""

    operation: Operation
    arn: str
    qualifier: str
    encoded: bool = True
    """Whether the ARN in the path is percent-encoded, as AWS documents."""


def parse_target(method: str, path: str, query: str, account: str) -> RequestTarget | ApiError:
    """Parse a raw request path such as `/runtimes/arn%3Aaws…/ws`; return a 401 for other paths.

    `account` is the account of the local ARN: a path with the runtime ID instead of the ARN
    needs `accountId` in the query (API reference, InvokeAgentRuntime).
    """
    end = next((end for end in _OPERATIONS if path.endswith(end)), None)
    raw = path[len(_RUNTIMES) : -len(end)] if end and path.startswith(_RUNTIMES) else ""
    name = unquote(raw)
    # An ARN has one '/', and stands in the path with it when it is not encoded.
    if end is None or not raw or raw.count("/") > (1 if name.startswith("arn:") else 0):
        return unknown_path(
            "Missing Authentication Token",
            "Use /runtimes/<percent-encoded ARN>/invocations, /ws, /stopruntimesession or "
            "/commands; encode the ARN's ':' as %3A and its '/' as %2F.",
        )
    operation, allowed = _OPERATIONS[end]
    if method != allowed:
        return validation_error(
            f"{method} is not supported on {end}.",
            f"Use {allowed}; /ws takes a WebSocket upgrade, /invocations a POST.",
        )
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if not name.startswith("arn:") and parameters.get("accountId") != account:
        return validation_error(
            "accountId is required when the runtime is addressed by its ID.",
            f"Add ?accountId={account}, or use the full ARN.",
        )
    encoded = raw.upper() == quote(name, safe="").upper()
    return RequestTarget(operation, name, parameters.get("qualifier", "DEFAULT"), encoded)


def check_target(target: RequestTarget, arn: str, qualifiers: Iterable[str]) -> ApiError | None:
    """Return a 404 unless the target is the runtime `arn` (or its ID) and one of its endpoints."""
    if target.arn not in (arn, arn.rpartition("/")[2]):
        return not_found(
            f"No endpoint or agent found with ARN {target.arn}", f"The local runtime is {arn}."
        )
    if target.qualifier not in qualifiers:
        return not_found(
            f"No endpoint or agent found with qualifier {target.qualifier}",
            f"Use one of {', '.join(qualifiers)}.",
        )
    return None


def session_id_of(headers: Mapping[str, str], query: str) -> str | None:
    """Return the caller's session ID, from the query, which is signed, or from its header."""
    parameters = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
    return parameters.get(SESSION_HEADER.lower()) or headers.get(SESSION_HEADER)


def make_session_id() -> str:
    """Return a new ID (36 characters), as AgentCore makes one if the caller sends none."""
    return str(uuid.uuid4())


def check_session_id(session_id: str) -> ApiError | None:
    """Return a 400 unless the ID has 33 to 256 characters that AWS's answers may contain."""
    if not SESSION_ID_MIN <= len(session_id) <= SESSION_ID_MAX:
        return validation_error(
            f"Value at 'runtimeSessionId' failed to satisfy constraint: it has {len(session_id)} "
            f"characters, not {SESSION_ID_MIN} to {SESSION_ID_MAX}.",
            "Use str(uuid.uuid4()), which has 36; uuid4().hex has 32, which is too short.",
        )
    if not _SESSION_ID.fullmatch(session_id):
        return validation_error(
            "Value at 'runtimeSessionId' failed to satisfy constraint: "
            "it must match [a-zA-Z0-9][a-zA-Z0-9-_]*.",
            "Use letters, digits, '-' and '_', and start with a letter or a digit.",
        )
    return None


class BadAllowlist(VoicecoreError):
    """UpdateAgentRuntime would refuse this header allow-list."""


def check_allowlist(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in lower case. Raise BadAllowlist with all names that AWS would refuse."""
    lower = [name.lower() for name in names]
    refused = [name for name in lower if not may_be_allowed(name)]
    if refused or len(lower) > ALLOWLIST_NAMES_MAX:
        what = ", ".join(refused) or f"{len(lower)} names"
        raise BadAllowlist(
            f"AgentCore refuses this header allow-list: {what}.",
            f"List at most {ALLOWLIST_NAMES_MAX} names. Of x-amz… headers only "
            "X-Amzn-Bedrock-AgentCore-Runtime-Custom-<Name> is allowed; connection and content "
            "headers are not.",
            ExitCode.BAD_PROJECT,
        )
    return tuple(lower)


def agent_headers(
    headers: Mapping[str, str],
    query: str,
    allowlist: Sequence[str],
    session_id: str,
    request_id: str,
) -> dict[str, str] | ApiError:
    """Return the headers that the agent sees, or a 400 if a value exceeds AWS's limit.

    Custom- query parameters arrive as headers: a browser's WebSocket cannot set headers
    (runtime-header-allowlist).
    """
    sent = {name.lower(): value for name, value in headers.items()}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.lower().startswith(CUSTOM_PREFIX):
            sent.setdefault(name.lower(), value)
    limits = {name: HEADER_VALUE_MAX for name in allowlist} | TRACE_HEADER_MAX
    limits[USER_HEADER.lower()] = USER_ID_MAX
    for name, limit in limits.items():
        if len(sent.get(name, "").encode()) > limit:
            return validation_error(
                f"Header {name} is longer than {limit} bytes.",
                "Send a short key and let the agent look up the rest.",
            )
    forwarded = {name: sent[name] for name in (*_ALWAYS_FORWARDED, *allowlist) if name in sent}
    return forwarded | {SESSION_HEADER: session_id, REQUEST_HEADER: request_id}
