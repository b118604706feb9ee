"""Serves CodeBuild before moto, which replaces S3, IAM, STS and CloudWatch Logs.

Requests to S3 pass through here, because moto ignores conditions of bucket policies and expected
bucket owners.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tests.standins.image.codebuild import CodeBuild
from tests.standins.models.refusal import Refused
from tests.standins.models.sigv4 import Keys, Request

TARGET = "CodeBuild_20161006."


@contextmanager
def codebuild(region: str, keys: Keys) -> Iterator[CodeBuild]:
    """Run moto, and CodeBuild before it, on loopback ports."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        stand_in = CodeBuild(f"http://{host}:{port}", region, keys)
        with _serving(stand_in):
            yield stand_in
    finally:
        moto.stop()


@contextmanager
def _serving(stand_in: CodeBuild) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if "X-Amz-Target" not in self.headers:
                self._s3()
                return
            body = self._body()
            if stand_in.unanswered > 0:
                stand_in.unanswered -= 1
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request("POST", self.path, "", headers, body)
            operation = self.headers["X-Amz-Target"].removeprefix(TARGET)
            try:
                answer = json.dumps(stand_in.answer(request, operation, json.loads(body))).encode()
                self._send(200, {}, answer)
            except Refused as refused:
                # JSON 1.1 names the error in the body.
                error = {"__type": refused.kind, "message": refused.message}
                self._send(refused.status, refused.headers, json.dumps(error).encode())

        def _s3(self) -> None:
            body = self._body()
            path, _, query = self.path.lstrip("/").partition("?")
            bucket = path.partition("/")[0]
            owner = "someone" if bucket in stand_in.foreign_buckets else stand_in.account
            if self.headers.get("x-amz-expected-bucket-owner", owner) != owner:
                self._send(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
            elif query == "policy" and self.command == "PUT":
                stand_in.policies[bucket] = body
                self._send(204, {}, b"")
            elif query == "policy" and self.command == "GET":
                self._send(200, {"Content-Type": "application/json"}, stand_in.policies[bucket])
            else:
                self._send(*stand_in.moto_s3(self.command, self.path, dict(self.headers), body))

        do_GET = do_HEAD = do_PUT = do_DELETE = _s3

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in {name.lower() for name in headers}:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
