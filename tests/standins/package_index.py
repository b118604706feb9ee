"""A company's package index (the real pypiserver) and git server, on loopback ports."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pypiserver  # pyright: ignore[reportMissingTypeStubs]


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@contextmanager
def package_index(
    folder: Path, login: tuple[str, str] | None = None, hashes: bool = True
) -> Iterator[str]:
    """Serve the wheels in `folder` during the block; give the index's URL.

    With `login`, a username and password, everything needs it.
    """

    def accepts(name: str, password: str) -> bool:
        return (name, password) == login

    app: Any = pypiserver.app(
        roots=[folder],
        authenticate=["list", "download", "update"] if login else [],
        auther=accepts,
        disable_fallback=True,
        hash_algo="sha256" if hashes else None,
    )
    whole = _without_ranges(app)
    with _running(make_server("127.0.0.1", 0, whole, _Threading, _Quiet)) as url:
        yield f"{url}/simple"


def _without_ranges(app: WSGIApplication) -> WSGIApplication:
    """Serve whole files only: pypiserver's Bottle leaves those open that are read in parts."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop("HTTP_RANGE", None)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [each for each in headers if each[0].lower() != "accept-ranges"]
            return start_response(status, kept, *rest)

        return app(environ, start)

    return serve


@contextmanager
def git_over_http(repository: Path) -> Iterator[str]:
    """Serve a repository by git's simple HTTP protocol during the block; give its URL."""
    subprocess.run(["git", "-C", str(repository), "update-server-info"], check=True)
    handler = partial(_QuietFiles, directory=str(repository / ".git"))
    with _running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield f"{url}/"


@contextmanager
def _running(server: HTTPServer) -> Iterator[str]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
