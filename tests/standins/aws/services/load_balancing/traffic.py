"""Owns the traffic of load balancers and CloudFront: over loopback sockets, to the targets.

Everything runs in one event loop, in its own thread. Clients' requests come from 127.0.0.1, a load
balancer's from 127.0.0.2, so that its targets can tell which proxy to trust.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import certifi
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.services.load_balancing.forwarding import end_to_end, pass_on
from tests.standins.models.certificates import make_certificates

LOAD_BALANCER_HOST = "127.0.0.2"
"""Source address of load balancers."""
_CHECK_SECONDS = 0.1  # real seconds between health checks when durations are zero
_POLL_SECONDS = 0.02
_CLOSE_SECONDS = 10.0
_LEAVING = ("draining", "unused")
Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(eq=False)
class Target:
    """A target of a group, and its address on this machine."""

    id: str
    port: int
    address: str
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    open: set[asyncio.Task[Any]] = field(default_factory=set)
    """Requests in progress and open WebSockets."""

    @property
    def described(self) -> dict[str, Any]:
        """The answer of DescribeTargetHealth."""
        health = {"State": self.state} | ({"Reason": self.reason} if self.reason else {})
        target = {"Id": self.id, "Port": self.port}
        return {"Target": target, "TargetHealth": health, "HealthCheckPort": str(self.port)}


class Traffic:
    """The listening addresses, and the targets behind them."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._folder = tempfile.TemporaryDirectory()
        self.trust = Path(self._folder.name) / "trust.pem"
        """Certificate authorities of the listeners and the usual ones, for SSL_CERT_FILE."""
        usual = ssl.get_default_verify_paths().cafile or certifi.where()
        self.trust.write_bytes(Path(usual).read_bytes())
        self._sites: dict[str, web.ServerRunner] = {}
        self._targets: dict[str, dict[str, Target]] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._http = self._run(self._open_session()).result(10)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open_session(self) -> aiohttp.ClientSession:
        # No headers apart from the client's, and no state between requests.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, local_addr=(LOAD_BALANCER_HOST, 0)),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    def stop(self) -> None:
        """Close everything."""
        self._run(self._close_all()).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _close_all(self) -> None:
        for address in list(self._sites):
            await self._close(address)
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._http.close()

    # ---- listeners

    def listen(self, handle: Handle, address: str, domains: tuple[str, ...] = ()) -> None:
        """Let `handle` answer at host:port, with TLS if certificate names are given."""
        self._run(self._listen(handle, address, domains)).result(10)

    async def _listen(self, handle: Handle, address: str, domains: tuple[str, ...]) -> None:
        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        host, _, port = address.partition(":")
        context = self._context(domains) if domains else None
        await web.TCPSite(runner, host, int(port), ssl_context=context).start()
        self._sites[address] = runner

    def _context(self, hosts: tuple[str, ...]) -> ssl.SSLContext:
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        made = make_certificates(folder, hosts)
        with self.trust.open("ab") as trust:
            trust.write(made.authority.read_bytes())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.chain, made.key)
        return context

    def close(self, address: str) -> None:
        """Stop answering at host:port, and close its connections."""
        self._run(self._close(address)).result(10)

    async def _close(self, address: str) -> None:
        if runner := self._sites.pop(address, None):
            await runner.cleanup()

    # ---- targets

    def targets(self, group: str) -> list[Target]:
        """Return the targets of a group, draining ones included."""
        return list(self._targets.get(group, {}).values())

    def register(self, group: Any, id: str, port: int, address: str) -> Target:
        """Add a target to one of moto's groups, and check its health."""
        target = Target(id, port, address)
        self._targets.setdefault(group.arn, {})[id] = target
        self._schedule(self._watch(group, target))
        return target

    def deregister(self, group: Any, target: Target) -> None:
        """Send it no new requests, and drain it for the group's delay."""
        if target.state not in _LEAVING:
            target.state, target.reason = "draining", "Target.DeregistrationInProgress"
            self._schedule(self._drain(group, target))

    def connections(self, groups: set[str]) -> int:
        """Return the number of open requests and WebSockets to the targets of these groups."""
        return sum(len(target.open) for group in groups for target in self.targets(group))

    def _schedule(self, work: Coroutine[Any, Any, None]) -> None:
        async def begin() -> None:
            watch = asyncio.ensure_future(work)
            self._watches.add(watch)
            watch.add_done_callback(self._on_watch_done)

        self._run(begin())

    def _on_watch_done(self, watch: asyncio.Task[None]) -> None:
        self._watches.discard(watch)
        if not watch.cancelled() and (error := watch.exception()):
            self._cloud.bugs.append(error)

    async def _drain(self, group: Any, target: Target) -> None:
        clock = self._cloud.clock
        end = clock.seconds() + float(group.attributes["deregistration_delay.timeout_seconds"])
        await self._until(lambda: not target.open or clock.seconds() >= end)
        for task in list(target.open):
            task.cancel()
        target.state, target.reason = "unused", "Target.NotRegistered"
        self._targets.get(group.arn, {}).pop(target.id, None)

    async def _watch(self, group: Any, target: Target) -> None:
        """Check a target's health; a new one needs a single good answer."""
        good = bad = 0
        while target.state not in _LEAVING:
            reason = await self._check(group, target)
            good, bad = (0, bad + 1) if reason else (good + 1, 0)
            if target.state in _LEAVING:
                return
            enough = 1 if target.state == "initial" else int(group.healthy_threshold_count)
            if good >= enough:
                target.state, target.reason = "healthy", ""
            elif bad >= int(group.unhealthy_threshold_count):
                target.state, target.reason = "unhealthy", reason
            await self._pause(target, float(group.health_check_interval_seconds))

    async def _pause(self, target: Target, seconds: float) -> None:
        if target.state != "healthy":
            seconds *= self._cloud.durations.checks
        clock = self._cloud.clock
        end = clock.seconds() + seconds
        await asyncio.sleep(_CHECK_SECONDS)
        await self._until(lambda: clock.seconds() >= end or target.state in _LEAVING)

    async def _until(self, true: Callable[[], bool]) -> None:
        while True:  # advancing the clock does not wake the loop
            if true():
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _check(self, group: Any, target: Target) -> str:
        """Return ELB's reason for an unhealthy target; empty if it is healthy."""
        timeout = aiohttp.ClientTimeout(total=float(group.health_check_timeout_seconds))
        url = URL(f"http://{target.address}{group.health_check_path or '/'}", encoded=True)
        try:
            async with self._http.get(url, timeout=timeout) as answer:
                await answer.read()
        except TimeoutError:
            return "Target.Timeout"
        except aiohttp.ClientError:
            return "Target.FailedHealthChecks"
        good = group.matcher["HttpCode"].split(",")
        return "" if str(answer.status) in good else "Target.ResponseCodeMismatch"

    # ---- requests

    async def forward(
        self, request: web.BaseRequest, address: str, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Send the request to `address` with these headers, and stream back the answer."""
        url = URL(f"http://{address}{request.raw_path}", encoded=True)
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await self._forward_socket(request, url, headers)
            return await self._forward_request(request, url, headers)
        except aiohttp.ClientError:
            return web.Response(status=502, text="502 Bad Gateway")

    async def _forward_request(
        self, request: web.BaseRequest, url: URL, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        body = request.content if request.body_exists else None
        async with self._http.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            made = web.StreamResponse(status=answer.status, reason=answer.reason)
            made.headers.extend(end_to_end(answer.headers))
            await made.prepare(request)
            async for piece in answer.content.iter_any():
                await made.write(piece)
            await made.write_eof()
            return made

    async def _forward_socket(
        self, request: web.BaseRequest, url: URL, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        wanted = [p.strip() for p in headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
        raw: dict[str, Any] = {"autoping": False, "autoclose": False, "max_msg_size": 0}
        for name in [name for name in headers if name.lower().startswith("sec-websocket-")]:
            del headers[name]
        protocols = tuple(filter(None, wanted))
        try:
            inner = await self._http.ws_connect(url, headers=headers, protocols=protocols, **raw)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        chosen = (inner.protocol,) if inner.protocol else ()
        outer = web.WebSocketResponse(protocols=chosen, compress=False, **raw)
        try:
            await outer.prepare(request)
            directions = [
                asyncio.ensure_future(pass_on(outer, inner)),
                asyncio.ensure_future(pass_on(inner, outer)),
            ]
            try:
                done, pending = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                if pending and all(direction.result() for direction in done):
                    await asyncio.wait(pending, timeout=_CLOSE_SECONDS)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        finally:
            # Without a close frame, if none was sent.
            for transport in (request.transport, inner._response.connection):
                if transport is not None:
                    transport.close()
        return outer
