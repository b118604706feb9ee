"""Generates the HTTP API, from the OpenAPI document of a generated session server."""

from __future__ import annotations

import json
import re
from typing import Any

from docs.generators.markdown import same, table
from docs.generators.projects import openapi


def http_api() -> str:
    """Return the routes of the session server."""
    document = openapi()
    routes = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    same("routes of the session server", set(routes), set(_ROUTES))
    schemas = document["components"]["schemas"]
    parts: list[str] = []
    for route, meaning in _ROUTES.items():
        operation = routes[route]
        parts += [f"## {route}", meaning]
        if body := _body_of(operation.get("requestBody", {}), schemas):
            parts += [f"Request body: `{body}`", _fields(schemas[body])]
        answer = operation["responses"].get("200", {})
        if name := _body_of(answer, schemas):
            parts += [f"Response: `{name}`", _fields(schemas[name])]
        codes = ", ".join(f"`{code}`" for code in sorted(operation["responses"]))
        parts.append(f"Status codes: {codes}")
    return "\n\n".join(parts)


def _body_of(content: dict[str, Any], schemas: dict[str, Any]) -> str:
    text = json.dumps(content)
    names = re.findall(r"#/components/schemas/(\w+)", text)
    return next((name for name in names if "properties" in schemas[name]), "")


def _fields(model: dict[str, Any]) -> str:
    required = set(model.get("required", ()))
    rows = [
        (
            f"`{name}`",
            _type_of(field),
            f"{'Required. ' * (name in required)}{field.get('description', '')}".strip(),
        )
        for name, field in model["properties"].items()
    ]
    shown = 3 if any(row[2] for row in rows) else 2
    return table(("field", "type", "notes")[:shown], (row[:shown] for row in rows))


def _type_of(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "anyOf" in field:
        return " or ".join(_type_of(each) for each in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type_of(field['items'])}"
    return field.get("type", "any")


_ROUTES = {
    "POST /start": "Start a session, or resume one with its `sessionId` and `token`. Needs "
    "`Authorization: Bearer` with the key, an invite or a JWT.",
    "GET /sessions/{session_id}": "Show a session. Needs its token as `X-Session-Token`.",
    "DELETE /sessions/{session_id}": "End a session. Needs its token as `X-Session-Token`.",
    "POST /sessions/{session_id}/api/offer": "Answer a WebRTC offer. Needs the session's token, "
    "or the key.",
    "PATCH /sessions/{session_id}/api/offer": "Add ICE candidates to a WebRTC call. Needs the "
    "session's token, or the key.",
    "DELETE /invites/{invite_id}": "Revoke an invite and end its sessions. Needs the key.",
    "POST /phone/calls": "Place an outbound phone call. Needs the key.",
    "GET /phone/calls/{call_id}": "Show a phone call. Needs the key.",
    "DELETE /phone/calls/{call_id}": "End a phone call. Needs the key.",
    "POST /phone/calls/{call_id}/transfer": "Transfer a phone call to a number. Needs the key.",
    "POST /daily/calls": "Let the agent call a number or SIP address through Daily. Needs the key.",
    "POST /daily/dialin": "Webhook of Daily for inbound phone calls. Needs Daily's signature.",
    "GET /config": "Show the name of the project and the transports of the page.",
    "GET /health": "Say that the server takes callers; 503 while it drains.",
    "GET /metrics": "Show metrics in Prometheus format. Needs the key.",
}
