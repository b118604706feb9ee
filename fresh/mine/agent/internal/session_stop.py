"""Owns the end of the session: AgentCore bills it until it is stopped, or has long been idle.

A client should report a hang-up to the session server; a closed browser or a phone does not. The
agent knows when its last call is over, and stops its own session.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from . import logs

if TYPE_CHECKING:
    from .app import Agent

# Seconds after the last call. A caller whose connection is lost returns sooner: clients notice
# within a few seconds, the agent within 36.
LINGER_SECONDS = float(os.environ.get("LINGER_SECONDS", "20"))

# ARN of a runtime, and of its endpoint. The local runtime, whose account has zeros only, stops its
# sessions itself.
RUNTIME = r"(arn:[\w-]+:bedrock-agentcore:[\w-]+:(?!0{12})\d{12}:runtime/[\w-]+)"
ENDPOINT = re.compile(RUNTIME + r"(?:/runtime-endpoint/(\w+))?")

_endpoint = {"arn": ""}


def learn(arn: object) -> None:
    """Remember the endpoint of this session, which the session server names in its requests.

    AgentCore does not tell every agent (OTEL_RESOURCE_ATTRIBUTES), and on platform V2 it tells the
    process that all sessions of a version are copied from, whichever endpoint they belong to.
    """
    if isinstance(arn, str) and ENDPOINT.fullmatch(arn):
        _endpoint["arn"] = arn


async def when_idle(agent: Agent) -> None:
    """Stop the session after LINGER_SECONDS, unless another call has started."""
    await asyncio.sleep(LINGER_SECONDS)
    if not agent.get_async_task_info()["active_count"]:
        await asyncio.to_thread(stop, logs.session())


def stop(session_id: str) -> None:
    """Stop the session that this process serves; outside AWS, do nothing.

    A caller that names another endpoint gains nothing: the role may stop this runtime's sessions
    only, and it is this session that is stopped. Takes a second. A failure is logged: the session
    then ends when it has been idle.
    """
    runtime = ENDPOINT.search(_endpoint["arn"] or os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if not runtime or not session_id:
        return
    # Takes 0.3 s to import; no caller is waiting now.
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
