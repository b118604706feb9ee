"""The session's end. AgentCore bills and counts a session until it is stopped, or idle for long.

Whoever hangs up should say so to the session server; a browser that is closed does not, nor does a
telephone. The agent knows when its last call is over, and stops its session itself.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from . import logs

if TYPE_CHECKING:
    from .app import Agent

# Seconds after the last call. Whoever has lost a path comes back sooner: a client notices within a
# few seconds, the agent within 36.
LINGER_SECONDS = float(os.environ.get("LINGER_SECONDS", "20"))

# AgentCore tells the agent which runtime it is, and by which endpoint it was called.
RUNTIME = re.compile(r"cloud\.resource_id=(arn:[^,/]+:runtime/[\w-]+)(?:/runtime-endpoint/(\w+))?")


async def when_alone(agent: Agent) -> None:
    """End the session in a while, unless somebody comes back."""
    await asyncio.sleep(LINGER_SECONDS)
    if not agent.get_async_task_info()["active_count"]:
        await asyncio.to_thread(stop, logs.session())


def stop(session_id: str) -> None:
    """Stop the session that this process serves; elsewhere than in AWS, do nothing.

    Takes a second. What goes wrong is in the log: the session then ends when it has idled.
    """
    runtime = RUNTIME.search(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if not runtime or not session_id:
        return
    # 0.3 s to import, for which nobody waits now.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        boto3.client("bedrock-agentcore").stop_runtime_session(
            agentRuntimeArn=runtime[1],
            runtimeSessionId=session_id,
            qualifier=runtime[2] or "DEFAULT",
        )
    except (BotoCoreError, ClientError) as error:
        logs.write("session_not_stopped", level="WARNING", reason=str(error))
