"""AgentCore Runtime as the server uses it: signed URLs to a session, and its end."""

from __future__ import annotations

import asyncio
from urllib.parse import quote, urlencode

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, NoCredentialsError

# AgentCore accepts no longer life, and it only has to last until the connection is made.
EXPIRES_SECONDS = 300
QUALIFIER = "DEFAULT"
SESSION_ID_PARAMETER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


class AgentCore:
    """The runtime that the agent is deployed to; or voicecore's local one, by its endpoint.

    boto3 blocks, so every call of it runs in a thread.
    """

    def __init__(self, arn: str, region: str) -> None:
        self.arn = arn
        self.region = region
        self._session = boto3.Session(region_name=region)
        self._client = self._session.client("bedrock-agentcore")

    async def websocket_url(self, session_id: str) -> str:
        """A URL that connects to this session's /ws, signed with the server's credentials.

        Raises NoCredentialsError when there are none.
        """
        return await asyncio.to_thread(self._sign_websocket_url, session_id)

    def _sign_websocket_url(self, session_id: str) -> str:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        # Whatever is not in the query now cannot be added later: all of it is signed.
        query = urlencode({"qualifier": QUALIFIER, SESSION_ID_PARAMETER: session_id})
        endpoint = self._client.meta.endpoint_url.rstrip("/")
        request = AWSRequest("GET", f"{endpoint}/runtimes/{quote(self.arn, safe='')}/ws?{query}")
        signer = SigV4QueryAuth(
            credentials.get_frozen_credentials(),
            "bedrock-agentcore",
            self.region,
            expires=EXPIRES_SECONDS,
        )
        signer.add_auth(request)
        return str(request.url).replace("http", "ws", 1)  # http → ws, https → wss

    async def stop(self, session_id: str) -> None:
        """End the session and what it costs; one that has ended already is fine.

        Raises botocore's ClientError and BotoCoreError.
        """
        try:
            await asyncio.to_thread(
                self._client.stop_runtime_session,
                agentRuntimeArn=self.arn,
                runtimeSessionId=session_id,
                qualifier=QUALIFIER,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
