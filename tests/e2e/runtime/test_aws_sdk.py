"""The AWS SDK's AgentCoreRuntimeClient works unmodified with the local runtime.

Its WebSocket helpers sign only for AWS's host name, so the tests connect to 127.0.0.1 and keep the
Host header, as an entry in the hosts file would.
"""

import asyncio
import json
import os
from contextlib import contextmanager
from pathlib import Path

import websockets
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


def connect(here: RuntimeLab, url: str, headers: dict[str, str] | None = None):
    """Connect to the local runtime under AWS's name; the library adds its own upgrade headers."""
    own = ("host", "upgrade", "connection", "sec-websocket-version", "sec-websocket-key")
    return websockets.connect(
        url.replace("wss:", "ws:"),
        host="127.0.0.1",
        port=here.runtime.settings.port,
        additional_headers={
            name: value for name, value in (headers or {}).items() if name.lower() not in own
        },
        proxy=None,
    )


def test_sdk_presigned_url_and_signed_headers_connect(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, allowlist=(CUSTOM,)) as here:
            with environment(here):
                client = AgentCoreRuntimeClient(region=REGION)
            session = new_session()
            url = client.generate_presigned_url(ARN, session, "DEFAULT", {CUSTOM: "gold plan"})
            assert f"//bedrock-agentcore.{REGION}.amazonaws.com/" in url
            async with connect(here, url) as socket:
                await socket.send("headers")
                seen = json.loads(await socket.recv())
                assert seen[SESSION.lower()] == session
                assert seen[CUSTOM.lower()] == "gold plan"
            signed_url, headers = client.generate_ws_connection(ARN, session, "DEFAULT")
            async with connect(here, signed_url, headers) as socket:
                await socket.send(b"\0" * 640)
                assert await socket.recv() == b"\0" * 640
            assert here.sessions() == [session]

    asyncio.run(main())


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


CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Plan"
