"""Owns moto, called in this process, for the services that are used as moto has them."""

from __future__ import annotations

import io
import os
from typing import Any
from urllib.parse import unquote

# AMIs are not needed, and slow to load.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.http.operations import Request, Response


class Moto:
    """moto as an HTTP application; its state is global, so there is one at a time."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        reset()

    def respond(self, request: Request, account: str) -> Response:
        """Return moto's response to a request of this account."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(request.path, "latin-1"),
            "QUERY_STRING": request.query,
            "RAW_URI": f"{request.path}?{request.query}" if request.query else request.path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers.items():
            if name not in ("content-type", "content-length"):
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        environ["HTTP_HOST"] = "localhost"
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        status: list[str] = []
        headers: list[tuple[str, str]] = []

        def start(line: str, given: list[tuple[str, str]], *_: object) -> None:
            status.append(line)
            headers.extend(given)

        body = b"".join(self._app(environ, start))
        return Response(int(status[0].split()[0]), body, {k.lower(): v for k, v in headers})


def reset() -> None:
    """Delete everything that moto holds in this process."""
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()


def preload_ec2(cloud: Cloud) -> None:
    """Load moto's EC2 in a thread: its first request takes a second or two."""

    def work() -> None:
        from moto.backends import get_backend

        get_backend("ec2")

    cloud.start(work, "preload")
