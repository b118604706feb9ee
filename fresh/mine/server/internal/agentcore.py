"""Owns the connection to AgentCore Runtime: invoking, connecting to and stopping a session."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError, NoCredentialsError

from .api_errors import ApiError
from .blocking_client import BlockingClient
from .metrics import Metrics
from .sigv4 import Keys, presigned_url

# AgentCore's maximum. The URL only has to be valid until the connection is made.
EXPIRES_SECONDS = 300
# AWS Lambda always sets all three.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
SESSION_ID_PARAMETER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
CUSTOM_PARAMETER = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-"
# Concurrent requests: so many callers may wait for their agents to start.
MAX_REQUESTS = 256
# An agent has 30 s to start, and answers within 5.
INVOKE_SECONDS = 40
# Limit of an answer; the one to an offer takes 4 kB.
ANSWER_BYTES = 262_144
STOP_SECONDS = 10


class AgentCore:
    """An endpoint of the deployed agent's runtime, or of voicecore's local one.

    Raises botocore's ClientError and BotoCoreError, and TimeoutError, for failures of AWS.
    """

    def __init__(self, arn: str, endpoint: str, region: str, metrics: Metrics) -> None:
        self.arn, self.endpoint, self.region = arn, endpoint, region
        self._metrics = metrics
        self._session: Any = None
        self._client: Any = None
        self._connections = AsyncExitStack()
        self._blocking = BlockingClient("bedrock-agentcore", region, INVOKE_SECONDS, MAX_REQUESTS)
        self._invoking = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the connections to AWS open in the block.

        On Lambda, the first call that needs them opens them: a caller waits for the start of the
        process, and the import alone takes as long as everything else.
        """
        async with self._connections:
            if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
                await self._aws()
            yield

    async def _aws(self) -> Any:
        """Return the client of AWS, which is created when it is first needed."""
        if self._client is None:
            from aiobotocore.config import AioConfig
            from aiobotocore.session import AioSession

            config = AioConfig(
                max_pool_connections=MAX_REQUESTS,
                connect_timeout=3,
                # One retry after a transient failure. An agent answers a repeated offer only once.
                retries={"mode": "standard", "total_max_attempts": 2},
            )
            self._session = AioSession()
            self._client = await self._connections.enter_async_context(
                self._session.create_client(
                    "bedrock-agentcore", region_name=self.region, config=config
                )
            )
        return self._client

    @property
    def _url(self) -> str:
        """URL of AgentCore in this region; botocore takes long to find the same."""
        if self._client:
            return self._client.meta.endpoint_url.rstrip("/")
        aws = f"https://bedrock-agentcore.{self.region}.amazonaws.com"
        return os.environ.get("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", aws).rstrip("/")

    @property
    def endpoint_arn(self) -> str:
        """ARN of the endpoint; agents, which AWS does not tell reliably, learn it from here."""
        return f"{self.arn}/runtime-endpoint/{self.endpoint}"

    @property
    def websocket_origin(self) -> str:
        """Origin that the page connects to, for its Content-Security-Policy."""
        return self._url.replace("http", "ws", 1)

    async def invoke(self, session_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the session's agent, which is started if needed.

        Also raises ApiError, and ValueError if the answer is not a JSON object.
        """
        if self._invoking >= MAX_REQUESTS:
            raise ApiError(429, "too_many", "Too many calls are starting.", 1)
        self._invoking += 1
        try:
            with self._metrics.aws("InvokeAgentRuntime"):
                async with asyncio.timeout(INVOKE_SECONDS):
                    document = json.loads(await self._invoke(session_id, request))
        except RecursionError as error:
            raise ValueError("the agent's answer is nested too deeply") from error
        finally:
            self._invoking -= 1
        if not isinstance(document, dict):
            raise ValueError("the agent's answer is not an object")
        return document

    async def _invoke(self, session_id: str, request: dict[str, Any]) -> bytes:
        aws = await self._aws()
        answer = await aws.invoke_agent_runtime(**self._invocation(session_id, request))
        body = b""
        async with answer["response"] as stream:
            async for chunk in stream.iter_chunks(ANSWER_BYTES):
                body += chunk
                if len(body) > ANSWER_BYTES:
                    raise ValueError("the agent's answer is too long")
        return body

    def _invocation(self, session_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of InvokeAgentRuntime."""
        return {
            "agentRuntimeArn": self.arn,
            "runtimeSessionId": session_id,
            "qualifier": self.endpoint,
            "contentType": "application/json",
            "accept": "application/json",
            "payload": json.dumps(request | {"endpoint": self.endpoint_arn}),
        }

    async def open_session(self, session_id: str, transport: str) -> None:
        """Tell the session's agent, which is started if needed, that the session is open.

        On Lambda by a blocking client: aiobotocore's takes longer to import than the request.
        """
        request = {"type": "open", "data": {"transport": transport}}
        if self._client:
            await self.invoke(session_id, request)
            return
        with self._metrics.aws("InvokeAgentRuntime"):
            invocation = self._invocation(session_id, request)
            answer = await self._blocking.request("invoke_agent_runtime", **invocation)
            answer["response"].close()

    async def websocket_url(self, session_id: str, **custom: str) -> str:
        """Return a URL for this session's /ws, signed with the server's credentials.

        `custom` reaches the agent as headers. Raises NoCredentialsError if the server has no
        credentials.
        """
        keys = await self._keys()
        headers = {CUSTOM_PARAMETER + name: value for name, value in custom.items()}
        url = presigned_url(
            f"{self._url}/runtimes/{quote(self.arn, safe='')}/ws",
            {"qualifier": self.endpoint, SESSION_ID_PARAMETER: session_id, **headers},
            keys,
            (self.region, "bedrock-agentcore"),
            datetime.now(UTC),
            EXPIRES_SECONDS,
        )
        return url.replace("http", "ws", 1)  # http → ws, https → wss

    async def _keys(self) -> Keys:
        """Return the server's credentials: as in botocore, those in the environment come first."""
        found = [os.environ.get(name, "") for name in KEYS]
        if all(found):
            return Keys(*found)
        await self._aws()
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen = await credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    async def stop(self, session_id: str) -> None:
        """End the session, which ends its cost; a session that has ended is not an error."""
        try:
            with self._metrics.aws("StopRuntimeSession"):
                async with asyncio.timeout(STOP_SECONDS):
                    aws = await self._aws()
                    await aws.stop_runtime_session(
                        agentRuntimeArn=self.arn,
                        runtimeSessionId=session_id,
                        qualifier=self.endpoint,
                    )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
