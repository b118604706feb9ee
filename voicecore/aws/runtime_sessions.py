"""Owns sessions of an AgentCore runtime as a caller with AWS credentials reaches them."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import Session

from voicecore.aws.session import Aws

_SERVICE = "bedrock-agentcore"
_SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
_EXPIRES = 300
"""Seconds; AgentCore's maximum."""
_ENDED = ("ResourceNotFoundException", "RetryableConflictException")
"""Answers for a session that has ended, or is being ended."""


class RuntimeSessions:
    """Sessions of one endpoint of a runtime. Raises what botocore raises."""

    def __init__(self, client: Any, credentials: Any, region: str, arn: str, endpoint: str) -> None:
        self._client, self._credentials, self._region = client, credentials, region
        self._arn, self._endpoint = arn, endpoint

    def websocket_url(self, session: str) -> str:
        """Return a URL for this session's /ws, which is valid for 300 s."""
        query = urlencode({"qualifier": self._endpoint, _SESSION: session})
        base = str(self._client.meta.endpoint_url).rstrip("/")
        url = f"{base}/runtimes/{quote(self._arn, safe='')}/ws?{query}"
        request: Any = AWSRequest("GET", url=url)
        signer = SigV4QueryAuth(self._credentials, _SERVICE, self._region, expires=_EXPIRES)
        signer.add_auth(request)
        return str(request.url).replace("http", "ws", 1)  # http → ws, https → wss

    def stop(self, session: str) -> None:
        """Stop the session; one that has ended is not an error."""
        try:
            self._client.stop_runtime_session(
                agentRuntimeArn=self._arn, runtimeSessionId=session, qualifier=self._endpoint
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _ENDED:
                raise


def sessions_in(aws: Aws, arn: str, endpoint: str) -> RuntimeSessions:
    """Return the sessions of a runtime in an account. Raises NoCredentialsError."""
    return RuntimeSessions(aws.client(_SERVICE), aws.credentials(), aws.region, arn, endpoint)


def sessions_at(
    url: str, region: str, access_key: str, secret_key: str, arn: str
) -> RuntimeSessions:
    """Return the sessions of a runtime at this URL, which has credentials of its own."""
    session = Session()
    session.set_credentials(access_key, secret_key)
    client = session.create_client(_SERVICE, region_name=region, endpoint_url=url)
    return RuntimeSessions(client, Credentials(access_key, secret_key), region, arn, "DEFAULT")
