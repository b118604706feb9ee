"""Owns X-Ray's destination of spans: CloudWatch's Transaction Search.

Answers follow the API reference (UpdateTraceSegmentDestination): a new destination is PENDING at
first. Spans are written to CloudWatch Logs by `span_line`, in the form of the group aws/spans.
"""

from __future__ import annotations

import json
from typing import Any

from tests.standins.aws.cloud import Call, Cloud

_STATE = "transaction search"


def set_destination(cloud: Cloud, destination: str, status: str) -> None:
    """Set where spans go: ("XRay", "ACTIVE"), as in a new account, or ("CloudWatchLogs", ...)."""
    cloud.setdefault(dict, _STATE).update(Destination=destination, Status=status)


def destination(cloud: Cloud, call: Call) -> dict[str, Any]:
    return {"Destination": "XRay", "Status": "ACTIVE"} | cloud.setdefault(dict, _STATE)


def span_line(
    name: str,
    id: str,
    parent: str,
    begin: float,
    end: float,
    runtime: str,
    error: str | None = None,
    **attributes: object,
) -> str:
    """Return a span as X-Ray writes it to CloudWatch Logs."""
    arn = f"arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/{runtime}"
    document = {
        "resource": {"attributes": {"cloud.resource_id": f"{arn}/runtime-endpoint/DEFAULT"}},
        "scope": {"name": "internal.traces", "version": ""},
        "traceId": "6a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "spanId": id,
        **({"parentSpanId": parent} if parent else {}),
        "flags": 256,
        "name": name,
        "kind": "INTERNAL",
        "startTimeUnixNano": round(begin * 1e9),
        "endTimeUnixNano": round(end * 1e9),
        "durationNano": round((end - begin) * 1e9),
        "attributes": attributes,
        "status": {"code": "UNSET"} if error is None else {"code": "ERROR", "message": error},
    }
    return json.dumps(document)


HANDLERS = {("xray", "GetTraceSegmentDestination"): destination}
