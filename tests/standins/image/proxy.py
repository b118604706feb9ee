"""A proxy that makes real registries look like ECR and public.ecr.aws: TLS, tokens and faults.

Requests that it allows reach the registry unchanged.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from tests.standins.image.ecr import TARGET, Ecr, RegistryError
from tests.standins.image.registry import Registry
from tests.standins.models.certificates import Certificates
from tests.standins.models.refusal import Refused
from tests.standins.models.sigv4 import Request

PUBLIC = "public.ecr.aws"
_PUBLIC_BLOBS = "d5l0dvt14r5h8.cloudfront.net"
_PIECE = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends a reset
# Headers of one connection, which the proxy does not pass on.
_HOP_HEADERS = {"host", "connection", "transfer-encoding", "authorization", "expect", "keep-alive"}
_Value = TypeVar("_Value")


@dataclass
class Fault:
    """A fault for the next `times` requests that match `method` and the regex `path`.

    The connection is reset after `reset_after` bytes of the request's body, or the answer is
    `status`, or the body is read no faster than `bytes_per_second`.
    """

    method: str = ""
    path: str = ""
    times: float = 1
    reset_after: int | None = None
    status: int | None = None
    bytes_per_second: float | None = None

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and bool(re.search(self.path, path))


@dataclass
class LoggedRequest:
    """A request, the status of its answer (0 after a reset), and the bytes of its body."""

    host: str
    method: str
    path: str
    query: str
    status: int = 0
    bytes: int = 0


@dataclass
class RequestLog:
    """All requests to the proxy, in order."""

    requests: list[LoggedRequest] = field(default_factory=list[LoggedRequest])

    def find(self, method: str = "", path: str = "") -> list[LoggedRequest]:
        """Return the requests with this method whose path matches the regex."""
        return [
            each
            for each in self.requests
            if method in ("", each.method) and re.search(path, each.path)
        ]

    @property
    def bytes(self) -> int:
        """Bytes of all requests' bodies."""
        return sum(each.bytes for each in self.requests)

    def blobs(self) -> dict[str, int]:
        """Return the bytes sent for each completed blob, by digest.

        Bytes of interrupted uploads are not included; see `bytes`.
        """
        sent: dict[str, int] = {}
        for last in self.find(path="/blobs/uploads/"):
            found = re.search(r"digest=(sha256(?::|%3A)[0-9a-f]{64})", last.query)
            if found and last.status == 201:
                upload = [each.bytes for each in self.requests if each.path == last.path]
                digest = found[1].replace("%3A", ":")
                sent[digest] = sent.get(digest, 0) + sum(upload)
        return sent

    def clear(self) -> None:
        self.requests.clear()


class RegistryProxy:
    """Listens with TLS on `address`:443 for AWS's host names, and without TLS on `plain_host`.

    The ECR API answers without TLS, for AWS_ENDPOINT_URL_ECR.
    """

    def __init__(self, ecr: Ecr, private: Registry, public: Registry) -> None:
        self.ecr = ecr
        self.log = RequestLog()
        self.faults: list[Fault] = []
        self.address = ""
        self.plain_host = ""
        self._private = private
        self._public = public
        self._anonymous: set[str] = set()

    @property
    def hosts(self) -> list[str]:
        """Host names that must resolve to `address`."""
        return [self.ecr.host, self.ecr.bucket, PUBLIC, _PUBLIC_BLOBS]

    @property
    def endpoint(self) -> str:
        """URL of the ECR API, for AWS_ENDPOINT_URL_ECR."""
        return f"http://{self.plain_host}"

    @asynccontextmanager
    async def serving(
        self, certificates: Certificates, tls: socket.socket, plain: socket.socket
    ) -> AsyncIterator[None]:
        """Serve on two listening sockets."""
        self.address = tls.getsockname()[0]
        self.plain_host = f"{self.address}:{plain.getsockname()[1]}"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.chain, certificates.key)
        async with ClientSession(
            auto_decompress=False, timeout=ClientTimeout(total=None)
        ) as client:
            self._client = client
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._handle)
            self._runner = web.AppRunner(app, shutdown_timeout=0.2, auto_decompress=False)
            self._context = context
            self._loop = asyncio.get_running_loop()
            await self._runner.setup()
            await self._listen(tls, plain)
            try:
                yield
            finally:
                await self._runner.cleanup()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Refuse all connections during the block, and reset the open ones."""
        addresses = [(self.address, 443), (self.address, int(self.plain_host.rpartition(":")[2]))]
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        try:
            yield
        finally:
            tls, plain = (socket.create_server(address) for address in addresses)
            asyncio.run_coroutine_threadsafe(self._listen(tls, plain), self._loop).result()

    async def _listen(self, tls: socket.socket, plain: socket.socket) -> None:
        await web.SockSite(self._runner, tls, ssl_context=self._context).start()
        await web.SockSite(self._runner, plain).start()

    async def _close(self) -> None:
        for site in list(self._runner.sites):
            await site.stop()
        server = self._runner.server
        for connection in server.connections if server else []:
            _reset(connection.transport)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        logged = LoggedRequest(
            request.host, request.method, request.path, request.rel_url.raw_query_string
        )
        self.log.requests.append(logged)
        fault = next((f for f in self.faults if f.matches(request.method, request.path)), Fault())
        fault.times -= 1
        try:
            if fault.status:
                raise RegistryError(fault.status, "UNAVAILABLE", "Something went wrong here.")
            answer = await self._answer(request, logged, fault)
        except RegistryError as error:
            answer = web.json_response(error.body, status=error.status, headers=error.headers)
        except _ConnectionCut:
            _reset(request.transport)
            return web.Response()  # not sent: the connection is closed
        except ConnectionResetError:
            return web.Response()  # not sent: the client has closed the connection
        logged.status = answer.status
        return answer

    async def _answer(
        self, request: web.Request, logged: LoggedRequest, fault: Fault
    ) -> web.StreamResponse:
        if request.headers.get("X-Amz-Target", "").startswith(TARGET):
            return await self._api(request)
        if request.host in (self.ecr.bucket, _PUBLIC_BLOBS):
            return await self._blob(request, logged, fault)
        if request.host == PUBLIC:
            return await self._public_ecr(request, logged, fault)
        return await self._registry(request, logged, fault)

    # ---- ECR

    async def _api(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        as_sent = Request("POST", request.raw_path, "", headers, body)
        try:
            answer = self.ecr.answer(as_sent, request.headers["X-Amz-Target"], json.loads(body))
        except Refused as refused:
            return web.Response(status=refused.status, headers=refused.headers, body=refused.body)
        return web.json_response(answer, content_type="application/x-amz-json-1.1")

    async def _registry(
        self, request: web.Request, logged: LoggedRequest, fault: Fault
    ) -> web.StreamResponse:
        token = self.ecr.check(request.headers.get("Authorization"))
        if request.path == "/v2/":
            return web.json_response({})
        operation = self.ecr.allow(request.method, request.path)
        if self.ecr.immutable and operation.action == "ecr:PutImage":
            tags = await asyncio.to_thread(self._private.tags, operation.repository)
            self.ecr.require_new_tag(operation, tags)
        if request.secure and operation.action == "ecr:GetDownloadUrlForLayer":
            return _redirect(self.ecr.bucket, request)
        query = logged.query
        if operation.action == "ecr:InitiateLayerUpload" and not self.ecr.mounts:
            query = ""
        before = logged.bytes
        try:
            return await self._pass(request, logged, fault, self._private, request.path, query)
        finally:
            token.bytes += logged.bytes - before

    # ---- public.ecr.aws

    async def _public_ecr(
        self, request: web.Request, logged: LoggedRequest, fault: Fault
    ) -> web.StreamResponse:
        if request.path == "/token/":
            self._anonymous.add(token := secrets.token_urlsafe(50))
            return web.json_response({"token": token})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self._anonymous:
            realm = f'Bearer realm="https://{PUBLIC}/token/",service="{PUBLIC}",scope="aws"'
            raise RegistryError(401, "DENIED", "Not Authorized", {"WWW-Authenticate": realm})
        if request.path == "/v2/":
            return web.json_response({})
        if request.method not in ("GET", "HEAD"):
            raise RegistryError(405, "UNSUPPORTED", "The operation is unsupported.")
        if request.method == "GET" and "/blobs/" in request.path:
            return _redirect(_PUBLIC_BLOBS, request)
        return await self._pass(request, logged, fault, self._public, request.path, logged.query)

    # ---- both

    async def _blob(
        self, request: web.Request, logged: LoggedRequest, fault: Fault
    ) -> web.StreamResponse:
        """Answer as S3 does to the presigned URL that a registry redirects to."""
        if "Authorization" in request.headers:
            raise RegistryError(400, "InvalidArgument", "Only one auth mechanism allowed")
        registry = self._private if request.host == self.ecr.bucket else self._public
        return await self._pass(request, logged, fault, registry, request.path, "")

    async def _pass(
        self,
        request: web.Request,
        logged: LoggedRequest,
        fault: Fault,
        registry: Registry,
        path: str,
        query: str,
    ) -> web.StreamResponse:
        url = f"{registry.url}{path}" + (f"?{query}" if query else "")
        headers = {n: v for n, v in request.headers.items() if n.lower() not in _HOP_HEADERS}
        body = _counted(request, logged, fault) if request.body_exists else None
        try:
            async with self._client.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as found:
                kept = {n: v for n, v in found.headers.items() if n.lower() not in _HOP_HEADERS}
                answer = web.StreamResponse(status=found.status, headers=kept)
                await answer.prepare(request)
                async for piece in found.content.iter_chunked(_PIECE):
                    await answer.write(piece)
                await answer.write_eof()
                return answer
        except ClientError as e:
            if isinstance(e.__cause__, _ConnectionCut):
                raise e.__cause__ from e
            raise


class _ConnectionCut(Exception):
    """The fault cuts the connection here."""


async def _counted(
    request: web.Request, logged: LoggedRequest, fault: Fault
) -> AsyncIterator[bytes]:
    left = fault.reset_after
    async for piece in request.content.iter_chunked(_PIECE):
        if left is not None and len(piece) >= left:
            logged.bytes += left
            yield piece[:left]
            raise _ConnectionCut
        left = None if left is None else left - len(piece)
        logged.bytes += len(piece)
        if fault.bytes_per_second:
            await asyncio.sleep(len(piece) / fault.bytes_per_second)
        yield piece


def _reset(transport: asyncio.Transport | None) -> None:
    # A TLS connection that the client has closed has no socket any more.
    open_socket = transport.get_extra_info("socket") if transport else None
    if transport and open_socket:
        open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()


def _redirect(host: str, request: web.Request) -> web.Response:
    signed = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={secrets.token_hex(32)}"
    return web.Response(status=307, headers={"Location": f"https://{host}{request.path}?{signed}"})
