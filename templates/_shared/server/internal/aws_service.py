"""Owns single requests to AWS, without botocore's clients.

A client parses the models of all operations of its service. On Lambda, where a caller waits for the
start, that took 17 MB and a quarter of its time. Credentials, signatures, certificates and errors
are botocore's. The methods block: call them in a thread.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

CONNECT_SECONDS = 3
RETRY_SECONDS = 0.2
TRANSIENT_STATUSES = (429, 500, 502, 503, 504)
# The last after a connection that was idle for long, as those of a frozen function are.
TRANSIENT_ERRORS = (EndpointConnectionError, ConnectTimeoutError, ConnectionClosedError)
# How the variables of endpoints name the services.
VARIABLES = {
    "bedrock-agentcore": "BEDROCK_AGENTCORE",
    "dynamodb": "DYNAMODB",
    "secretsmanager": "SECRETS_MANAGER",
}
# AWS Lambda always sets all three.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def endpoint_of(service: str, region: str) -> str:
    """Return the URL of a service, without a slash at its end."""
    own = os.environ.get(f"AWS_ENDPOINT_URL_{VARIABLES[service]}")
    if given := own or os.environ.get("AWS_ENDPOINT_URL"):
        return given.rstrip("/")
    fips = "-fips" if is_true("AWS_USE_FIPS_ENDPOINT") else ""
    domain = "api.aws" if is_true("AWS_USE_DUALSTACK_ENDPOINT") else "amazonaws.com"
    return f"https://{service}{fips}.{region}.{domain}"


def is_true(variable: str) -> bool:
    """Return whether a variable turns something on, by botocore's rule."""
    return os.environ.get(variable, "").lower() == "true"


class AwsService:
    """One service of AWS. Raises botocore's ClientError and BotoCoreError."""

    def __init__(self, service: str, region: str, read_seconds: float, connections: int) -> None:
        self._service, self._region = service, region
        self._timeout = (min(CONNECT_SECONDS, read_seconds), read_seconds)
        self._connections = connections
        self._lock = Lock()
        self._http: Any = None
        self._credentials: Any = None

    def call(self, target: str, version: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of an operation in AWS's JSON protocol.

        `target` is the service's name and the operation, `version` the protocol's.
        """
        headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}
        name = target.rpartition(".")[2]
        return json.loads(self.post("/", headers, json.dumps(parameters).encode(), name))

    def post(self, path: str, headers: Mapping[str, str], body: bytes, name: str) -> bytes:
        """Return AWS's answer. `name` is the operation's, for errors.

        One retry after a transient failure: an agent answers a repeated request only once.
        """
        with self._lock:
            if self._http is None:
                self._open()
        try:
            return self._send(path, headers, body, name)
        except (ClientError, BotoCoreError) as error:
            if not is_transient(error):
                raise
        time.sleep(RETRY_SECONDS)
        return self._send(path, headers, body, name)

    def close(self) -> None:
        """Close its connections."""
        if self._http:
            self._http.close()

    def _open(self) -> None:
        keys = [os.environ.get(name) for name in KEYS]
        if all(keys):
            self._credentials = Credentials(*keys)
        else:
            from botocore.session import Session

            self._credentials = Session().get_credentials()
            if self._credentials is None:
                raise NoCredentialsError
        self._http = URLLib3Session(
            # A path is accepted too.
            verify=os.environ.get("AWS_CA_BUNDLE") or True,  # pyright: ignore[reportArgumentType]
            proxies=get_environ_proxies(endpoint_of(self._service, self._region)),
            timeout=self._timeout,
            max_pool_connections=self._connections,
        )

    def _send(self, path: str, headers: Mapping[str, str], body: bytes, name: str) -> bytes:
        url = endpoint_of(self._service, self._region) + path
        request = AWSRequest("POST", url, headers=dict(headers), data=body)
        keys = self._credentials.get_frozen_credentials()
        SigV4Auth(keys, self._service, self._region).add_auth(request)
        answer = self._http.send(request.prepare())
        if answer.status_code >= 300:
            raise refusal_of(answer.status_code, answer.headers, answer.content, name)
        return answer.content


def is_transient(error: ClientError | BotoCoreError) -> bool:
    """Return whether the same request may succeed at once."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] in TRANSIENT_STATUSES
    return isinstance(error, TRANSIENT_ERRORS)


def refusal_of(status: int, headers: Mapping[str, str], body: bytes, name: str) -> ClientError:
    """Return AWS's error answer as botocore's client raises it."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    code = headers.get("x-amzn-errortype") or document.get("__type") or document.get("code")
    # "com.amazonaws.dynamodb.v20120810#ThrottlingException", "ThrottlingException:http://..."
    code = str(code or status).rpartition("#")[2].partition(":")[0]
    message = str(document.get("message") or document.get("Message") or "")
    error: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(error, name)
