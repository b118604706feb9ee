"""The AWS SDK's AgentCoreRuntimeClient works unmodified with the local runtime.

Its WebSocket helpers sign only for AWS's host name; test_aws_host.py connects with those.
"""

import asyncio
import json
import os
from contextlib import contextmanager
from pathlib import Path

from bedrock_agentcore.runtime import AgentCoreRuntimeClient

from tests.standins.runtime.runtime_lab import (
    ARN,
    REGION,
    SESSION,
    RuntimeLab,
    new_session,
    runtime_lab,
)


@contextmanager
def environment(here: RuntimeLab):
    """Set the variables with which `voicecore dev --env` selects the local runtime."""
    pair = here.runtime.settings.credentials
    local = {
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": here.runtime.url,
        "AWS_ACCESS_KEY_ID": pair.access_key_id,
        "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
    }
    before = dict(os.environ)
    os.environ.update(local)
    os.environ.pop("AWS_SESSION_TOKEN", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_sdk_calls_the_runtime_through_the_endpoint_variable(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            with environment(here):
                client = AgentCoreRuntimeClient(region=REGION)
            session = new_session()

            def invoke() -> str:
                answer = client.dp_client.invoke_agent_runtime(
                    agentRuntimeArn=ARN, runtimeSessionId=session, payload=b'{"a": 1}'
                )
                return json.loads(answer["response"].read())["headers"][SESSION.lower()]

            assert await asyncio.to_thread(invoke) == session
            await asyncio.to_thread(
                lambda: client.stop_runtime_session(agentRuntimeArn=ARN, runtimeSessionId=session)
            )
            await here.until(lambda: not here.sessions())

    asyncio.run(main())
