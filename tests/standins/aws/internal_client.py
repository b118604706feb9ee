"""Owns boto3 clients for calls between services of the stand-in, without a connection."""

from __future__ import annotations

import functools
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, cast
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from tests.standins.aws.http.operations import LOADER, Request, Response

Handle = Callable[[Request], Response | None]

_HANDLE: ContextVar[Handle] = ContextVar("handle")
_CREATING = threading.Lock()  # botocore's sessions are not thread-safe


class InternalClient:
    """A client of a service and region whose requests `handle` answers.

    The underlying clients are created once per process, because that is what takes time.
    """

    def __init__(self, service: str, region: str, handle: Handle) -> None:
        with _CREATING:
            self._client = _create_client(service, region)
        self._handle = handle

    @property
    def meta(self) -> Any:
        return self._client.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self._client, operation)

        def call(**params: Any) -> Any:
            token = _HANDLE.set(self._handle)
            try:
                return method(**params)
            finally:
                _HANDLE.reset(token)

        return call


@functools.cache
def _session() -> botocore.session.Session:
    # Without configuration: the environment of the tests must not affect the stand-in.
    session = botocore.session.Session({"config_file": (None, None, os.devnull, None)})
    session.set_config_variable("ignore_configured_endpoint_urls", True)
    session.register_component("data_loader", LOADER)
    return session


@functools.cache
def _create_client(service: str, region: str) -> Any:
    client = _session().create_client(
        service,
        region_name=region,
        aws_access_key_id="ASIAINSIDE",
        aws_secret_access_key="not checked",
        endpoint_url="http://stand-in",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        answer = _HANDLE.get()(_request_of(request))
        assert answer is not None, "a call between services was reset"
        return AWSResponse(request.url, answer.status, answer.headers, _RawBody(answer.body))

    client.meta.events.register("before-send", send)
    return client


def _request_of(request: AWSPreparedRequest) -> Request:
    url = urlsplit(request.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    body = cast(Any, request.body or b"")
    if hasattr(body, "read"):
        body = body.read()
    data = body.encode() if isinstance(body, str) else bytes(body)
    return Request(request.method, url.path or "/", url.query, headers, data)


class _RawBody(io.BytesIO):
    """A response body with urllib3's interface."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()
