"""The session server as an AWS Lambda function behind a Function URL: `voicecore deploy --server`.

A function serves one request at a time and AWS starts as many as there are, so what the server
remembers by itself (limits above all) each of them remembers alone: with SESSION_STORE they share.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from mangum import Mangum

from . import access, keys, logs
from .server import create_app

logs.take_over()
keys.read()
app = create_app(os.environ)
# Once, and not with every request as Mangum would: it opens the connections to AWS.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
running = app.router.lifespan_context(app)
loop.run_until_complete(running.__aenter__())
answer = Mangum(app, lifespan="off")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers a request; or makes an invite, for whom IAM lets call the function itself."""
    if "requestContext" in event:  # which the Function URL writes, never a caller
        return answer(event, context)
    until = time.time() + float(event["invite_seconds"])
    return {"invite": access.invite(os.environ["SESSION_API_KEY"].encode(), until)}
