"""A registry in memory with logins, faults and a request log, for unit tests."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class LoggedRequest:
    """A request, the status of its answer (0 after a cut), and the bytes of its body."""

    method: str
    path: str
    query: str
    status: int = 0
    bytes: int = 0
    authorization: str = ""


@dataclass
class Fault:
    """A fault for the next `times` requests with `method` whose path contains `path`."""

    method: str
    path: str
    status: int = 0
    code: str = "UNKNOWN"
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut_after: int | None = None
    """Bytes of the body, sent or received, after which the connection is cut."""
    times: int = 1


@dataclass
class FakeRegistry:
    """The registry: its content, accepted logins, next faults and logged requests."""

    challenge: str = ""
    """"", "basic" or "bearer"."""
    accepted: set[str] = field(default_factory=set[str])
    """Accepted values of Authorization."""
    says_expired: bool = False
    """True when a bad login gets ECR's 403 instead of 401."""
    redirects: bool = False
    """True when blobs are downloaded from another host."""
    mounts: bool = True
    ranges: bool = True
    """True when downloads can start in the middle."""
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict[str, tuple[str, bytes]])
    faults: list[Fault] = field(default_factory=list[Fault])
    log: list[LoggedRequest] = field(default_factory=list[LoggedRequest])
    tokens: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])
    token_status: int = 200
    token_seconds: int = 300
    token_answer: bytes = b""
    """Body of the token service's answer; empty for a token."""
    token_login: str = ""
    """Authorization that the token service accepts; "" for any or none."""
    upload_host: str = ""
    """Start of the URL of an upload; "" for a relative URL."""
    download_host: str = ""
    """Start of the URL of a redirected download; "" for this registry by another name."""
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, repository: str, content: bytes) -> str:
        self.blobs.setdefault(repository, {})[digest_of(content)] = content
        return digest_of(content)

    def add_manifest(self, repository: str, tag: str, media_type: str, document: Any) -> str:
        raw = json.dumps(document).encode()
        for version in (tag, digest_of(raw)):
            self.manifests[f"{repository}/{version}"] = (media_type, raw)
        return digest_of(raw)

    def find(self, method: str, path: str = "") -> list[LoggedRequest]:
        return [each for each in self.log if each.method == method and path in each.path]

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeRegistry]:
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        logged = LoggedRequest(request.method, request.path, request.query_string)
        logged.authorization = request.headers.get("Authorization", "")
        self.log.append(logged)
        fault = next(
            (
                f
                for f in self.faults
                if f.times and f.method == logged.method and f.path in logged.path
            ),
            Fault("", ""),
        )
        fault.times -= 1
        answer = await self._answer(request, logged, fault)
        lost = request.transport is None or request.transport.is_closing()
        logged.status = 0 if lost else answer.status
        return answer

    async def _answer(
        self, request: web.Request, logged: LoggedRequest, fault: Fault
    ) -> web.StreamResponse:
        if fault.status:
            return refused(fault.status, fault.code, fault.message, fault.headers)
        if request.path == "/token":
            return await self._token(request)
        if request.path == "/redirected":
            assert "Authorization" not in request.headers
            return await self._send(
                request, request.query["repository"], request.query["digest"], fault
            )
        if self.challenge and request.headers.get("Authorization") not in self.accepted:
            return self._denial(request)
        if request.path == "/v2/":
            return web.Response()
        repository, _, rest = request.path.removeprefix("/v2/").partition("/blobs/")
        if not rest:
            repository, _, version = request.path.removeprefix("/v2/").partition("/manifests/")
            return await self._manifest(request, repository, version)
        if not rest.startswith("uploads/"):
            return await self._blob(request, repository, rest, fault)
        if request.method == "POST":
            return self._begin(request, repository)
        return await self._upload(request, logged, repository, fault)

    def _denial(self, request: web.Request) -> web.Response:
        if self.says_expired and "Authorization" in request.headers:
            message = "Your authorization token has expired. Reauthenticate and try again."
            return refused(403, "DENIED", message)
        challenge = {
            "basic": 'Basic realm="here",service="ecr.amazonaws.com"',
            "bearer": f'Bearer realm="http://{self.host}/token",service="here",scope="extra"',
        }[self.challenge]
        return refused(401, "UNAUTHORIZED", "login required", {"WWW-Authenticate": challenge})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else request.query
        login = self.token_login
        if login and login not in (
            request.headers.get("Authorization"),
            form.get("refresh_token"),
        ):
            return refused(401, "UNAUTHORIZED", "bad login")
        if self.token_status != 200:
            return refused(self.token_status, "DENIED", "no token for you")
        if self.token_answer:
            return web.Response(body=self.token_answer)
        self.tokens.append({name: [str(v) for v in form.getall(name)] for name in form})
        token = f"token-{len(self.tokens)}"
        self.accepted.add(f"Bearer {token}")
        return web.json_response({"token": token, "expires_in": self.token_seconds})

    async def _manifest(self, request: web.Request, repository: str, version: str) -> web.Response:
        if request.method == "PUT":
            raw = await request.read()
            for name in (version, digest_of(raw)):
                self.manifests[f"{repository}/{name}"] = (request.content_type, raw)
            return web.Response(status=201)
        found = self.manifests.get(f"{repository}/{version}")
        if not found:
            return refused(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return web.Response(body=found[1], content_type=found[0])

    async def _blob(
        self, request: web.Request, repository: str, digest: str, fault: Fault
    ) -> web.StreamResponse:
        content = self.blobs.get(repository, {}).get(digest)
        if content is None:
            return refused(404, "BLOB_UNKNOWN", "blob unknown")
        if request.method == "HEAD":
            return web.Response()
        if self.redirects:
            host = self.download_host or f"http://localhost:{self.port}"
            place = f"{host}/redirected?repository={repository}&digest={digest}"
            return web.Response(status=307, headers={"Location": f"{place}&sign=a%2Bb%2F"})
        return await self._send(request, repository, digest, fault)

    async def _send(
        self, request: web.Request, repository: str, digest: str, fault: Fault
    ) -> web.StreamResponse:
        content = self.blobs[repository][digest]
        start = int(request.headers.get("Range", "bytes=0-")[6:-1]) if self.ranges else 0
        answer = web.StreamResponse(status=206 if start else 200)
        answer.content_length = len(content) - start
        await answer.prepare(request)
        if fault.cut_after is not None:
            await answer.write(content[start : start + fault.cut_after])
            cut(request)
            return answer
        await answer.write(content[start:])
        return answer

    def _begin(self, request: web.Request, repository: str) -> web.Response:
        digest = request.query.get("mount", "")
        content = self.blobs.get(request.query.get("from", ""), {}).get(digest)
        if self.mounts and content is not None:
            self.add(repository, content)
            return web.Response(status=201)
        # Relative, with a query that the client must send back unchanged.
        place = f"{self.upload_host}/v2/{repository}/blobs/uploads/{len(self.log)}?state=a%2Fb%3D"
        return web.Response(status=202, headers={"Location": place})

    async def _upload(
        self, request: web.Request, logged: LoggedRequest, repository: str, fault: Fault
    ) -> web.Response:
        assert "state=a%2Fb%3D" in str(request.rel_url)
        body = b""
        async for piece in request.content.iter_any():
            body += piece
            logged.bytes = len(body)
            if fault.cut_after is not None and len(body) >= fault.cut_after:
                cut(request)
                return web.Response()
        if digest_of(body) != request.query["digest"]:
            return refused(400, "DIGEST_INVALID", "provided digest did not match")
        self.add(repository, body)
        return web.Response(status=201)


def cut(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


def refused(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    body = {"errors": [{"code": code, "message": message}]}
    return web.json_response(body, status=status, headers=headers)
