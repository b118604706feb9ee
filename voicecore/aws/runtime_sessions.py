"""Owns sessions of an AgentCore runtime as a caller with AWS credentials reaches them."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from voicecore.aws.session import Aws

_SERVICE = "bedrock-agentcore"
_SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
_EXPIRES = 300
"""Seconds; AgentCore's maximum."""


class RuntimeSessions:
    """Sessions of one endpoint of a runtime. Raises what botocore raises."""

    def __init__(self, aws: Aws, arn: str, endpoint: str) -> None:
        self._aws, self._arn, self._endpoint = aws, arn, endpoint

    def websocket_url(self, session: str) -> str:
        """Return a URL for this session's /ws, which is valid for 300 s."""
        client = self._aws.client(_SERVICE)
        query = urlencode({"qualifier": self._endpoint, _SESSION: session})
        base = str(client.meta.endpoint_url).rstrip("/")
        url = f"{base}/runtimes/{quote(self._arn, safe='')}/ws?{query}"
        request: Any = AWSRequest("GET", url=url)
        credentials = self._aws.credentials()
        SigV4QueryAuth(credentials, _SERVICE, self._aws.region, expires=_EXPIRES).add_auth(request)
        return str(request.url).replace("http", "ws", 1)  # http → ws, https → wss

    def stop(self, session: str) -> None:
        """Stop the session; one that has ended is not an error."""
        try:
            self._aws.client(_SERVICE).stop_runtime_session(
                agentRuntimeArn=self._arn, runtimeSessionId=session, qualifier=self._endpoint
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
                raise
