"""Owns sessions of an AgentCore runtime as a caller with AWS credentials reaches them."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import Session

from voicecore.aws.session import Aws, new_session

_SERVICE = "bedrock-agentcore"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
"""Header with the session's ID, and parameter of a URL."""
_EXPIRES = 300
"""Seconds; AgentCore's maximum."""
_ENDED = ("ResourceNotFoundException", "RetryableConflictException")
"""Answers for a session that has ended, or is being ended."""


@dataclass(frozen=True)
class RuntimeAddress:
    """One endpoint of a runtime, at the URL of AgentCore in its region."""

    base: str
    arn: str
    endpoint: str

    def url(self, operation: str, session: str = "") -> str:
        """Return the unsigned URL of an operation, of this session if it is named."""
        named = {SESSION_HEADER: session} if session else {}
        query = urlencode({"qualifier": self.endpoint, **named})
        return f"{self.base.rstrip('/')}/runtimes/{quote(self.arn, safe='')}/{operation}?{query}"


def address_in(region: str, arn: str, endpoint: str) -> RuntimeAddress:
    """Return the address of a runtime, for which no credentials are needed."""
    client = new_session().create_client(_SERVICE, region_name=region)
    return RuntimeAddress(str(client.meta.endpoint_url), arn, endpoint)


class RuntimeSessions:
    """Sessions of one endpoint of a runtime. Raises what botocore raises."""

    def __init__(self, client: Any, credentials: Any, region: str, arn: str, endpoint: str) -> None:
        self._client, self._credentials, self._region = client, credentials, region
        self._address = RuntimeAddress(str(client.meta.endpoint_url), arn, endpoint)

    def websocket_url(self, session: str) -> str:
        """Return a URL for this session's /ws, which is valid for 300 s."""
        request: Any = AWSRequest("GET", url=self._address.url("ws", session))
        signer = SigV4QueryAuth(self._credentials, _SERVICE, self._region, expires=_EXPIRES)
        signer.add_auth(request)
        return str(request.url).replace("http", "ws", 1)  # http → ws, https → wss

    def stop(self, session: str) -> bool:
        """Stop the session; return False for one that has ended, which is not an error."""
        try:
            self._client.stop_runtime_session(
                agentRuntimeArn=self._address.arn,
                runtimeSessionId=session,
                qualifier=self._address.endpoint,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _ENDED:
                raise
            return False
        return True


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
