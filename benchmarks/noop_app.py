"""An ASGI app that reads a request and answers as many bytes as /start, and does nothing else."""

from __future__ import annotations

from typing import Any

ANSWER = b'{"sessionId": "' + b"x" * 900 + b'"}'


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(ANSWER)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})
