"""Runs the session server as an AWS Lambda function behind a Function URL.

A function serves one request at a time, and AWS starts as many as needed. They share SESSION_STORE:
what the server keeps in memory is separate in each of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from mangum import Mangum

from . import access, keys, logs
from .server import create_app

logs.set_up()
keys.read()
app = create_app(os.environ)
# Once, not with every request as Mangum would: it opens the connections to AWS.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
running = app.router.lifespan_context(app)
loop.run_until_complete(running.__aenter__())
answer = Mangum(app, lifespan="off")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request; or make or revoke an invite, for a caller with IAM permission to invoke."""
    if "requestContext" in event:  # set by the Function URL, never by a caller
        return answer(event, context)
    if "revoke_invite" in event:
        revoking = app.state.open_sessions.revoke(event["revoke_invite"])
        return {"ended": loop.run_until_complete(revoking)}
    until = time.time() + float(event["invite_seconds"])
    return {"invite": access.invite(os.environ["SESSION_API_KEY"].encode(), until)}
