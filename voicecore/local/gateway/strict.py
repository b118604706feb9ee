"""Owns the requests that only `dev --strict` refuses, because AWS may or may not refuse them.

AWS's documents and the reports of users differ on these, and clients that work in AWS may send
them, so without --strict they pass with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from voicecore.local.api_errors import ApiError, access_denied, unknown_path, validation_error
from voicecore.local.gateway.request import SESSION_HEADER, RequestTarget
from voicecore.local.limits import SESSION_ID_MIN, SESSION_ID_SAFE_MAX


def strict_refusals(
    target: RequestTarget, session_id: str | None, headers: Mapping[str, str], query: str
) -> list[ApiError]:
    """Return the errors with which AWS may answer this request, which is otherwise valid."""
    found: list[ApiError] = []
    if not target.encoded:
        found.append(
            unknown_path(
                "The ARN in the path is not percent-encoded.",
                "Encode its ':' as %3A and its '/' as %2F: quote(arn, safe='') in Python, "
                "encodeURIComponent(arn) in JavaScript.",
            )
        )
    presigned = any(name == "X-Amz-Signature" for name, _ in parse_qsl(query))
    if presigned and headers.get(SESSION_HEADER):
        found.append(
            access_denied(
                "The session ID is in a header beside a presigned URL.",
                f"Add {SESSION_HEADER} as a query parameter before signing, not as a header after.",
            )
        )
    if session_id is not None and len(session_id) > SESSION_ID_SAFE_MAX:
        found.append(
            validation_error(
                f"The session ID has {len(session_id)} characters; AWS's answers carry at most "
                f"{SESSION_ID_SAFE_MAX}.",
                f"Use {SESSION_ID_MIN} to {SESSION_ID_SAFE_MAX}: str(uuid.uuid4()) has 36.",
            )
        )
    return found
