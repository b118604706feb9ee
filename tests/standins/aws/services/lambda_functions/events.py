"""Owns the format of events and answers of a function URL (payload format 2.0)."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.standins.aws.http.operations import Request, Response


def event_of(id: str, request: Request) -> dict[str, Any]:
    """Return the request as an event, payload format 2.0."""
    headers = {k: v for k, v in request.headers.items() if k not in ("connection", "cookie")}
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(request.path),
        "rawQueryString": request.query,
        "headers": headers | {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": id,
            "domainName": f"{id}.lambda-url.us-east-1.on.aws",
            "domainPrefix": id,
            "http": {
                "method": request.method,
                "path": unquote(request.path),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if request.query:
        event["queryStringParameters"] = dict(parse_qsl(request.query, keep_blank_values=True))
    if cookies := request.headers.get("cookie"):
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if request.body:
        text = headers.get("content-type", "").startswith(("text/", "application/json"))
        event["isBase64Encoded"] = not text
        event["body"] = request.body.decode() if text else base64.b64encode(request.body).decode()
    return event


def response_of(answer: Any) -> Response:
    """Return the function's answer as HTTP; without a statusCode, it is a JSON body."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, json.dumps(answer).encode(), {"content-type": "application/json"})
    body = answer.get("body") or ""
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    headers = {name.lower(): str(value) for name, value in answer.get("headers", {}).items()}
    headers.setdefault("content-type", "application/json")
    return Response(int(answer["statusCode"]), content, headers)
