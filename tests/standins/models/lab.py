"""Owns the running stand-ins: all of them on one loopback address of their own."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from tests.requirements import problem_of, require
from tests.standins.models import converse, polly, sonic, transcribe
from tests.standins.models.asgi import Receive, Send, finish, read_body, request_of, start
from tests.standins.models.certificates import Certificates, make_certificates
from tests.standins.models.context import Limits, StandinContext
from tests.standins.models.journal import Journal
from tests.standins.models.proxy import BreakableProxy
from tests.standins.models.reach import Reach, hosts_text
from tests.standins.models.refusal import Refused
from tests.standins.models.script import Script
from tests.standins.models.sigv4 import Keys, check_headers

_TLS_PORT = 443  # AWS's own ports: Pipecat uses no others
_TRANSCRIBE_PORT = 8443
_MODEL_PATH = re.compile(r"/model/([^/]+)/(converse-stream|invoke-with-bidirectional-stream)")


@dataclass(frozen=True)
class Models:
    """The running stand-ins.

    `endpoint` serves ConverseStream and Polly without TLS, for AWS_ENDPOINT_URL_BEDROCK_RUNTIME
    and AWS_ENDPOINT_URL_POLLY; Nova Sonic and Transcribe need `reach`. Through `reach`, connections
    to Bedrock and Polly pass `proxy`, which tests can break.
    """

    reach: Reach
    endpoint: str
    journal: Journal
    proxy: BreakableProxy


@asynccontextmanager
async def serve(
    script: Script | None = None,
    *,
    region: str = "us-east-1",
    limits: Limits | None = None,
    echo: bool = False,
) -> AsyncIterator[Models]:
    """Run the stand-ins for Nova Sonic, ConverseStream, Polly and Transcribe in this event loop."""
    require("espeak-ng")
    keys = Keys("AKIDVOICECORETEST", "a-secret-that-only-the-stand-ins-know")
    context = StandinContext(region, keys, script or Script(), limits or Limits(), Journal(echo))
    hosts = host_names(region)
    with tempfile.TemporaryDirectory(prefix="voicecore-models-") as folder:
        certificates = make_certificates(Path(folder), hosts)
        tls, plain, streaming = _listen()
        address = tls.getsockname()[0]
        hosts_file = Path(folder) / "hosts"
        hosts_file.write_text(hosts_text(address, hosts))
        port = plain.getsockname()[1]
        behind = socket.create_server((address, 0))
        proxy = BreakableProxy(behind.getsockname())
        async with (
            _bedrock_and_polly(context, certificates, behind, plain),
            proxy.forwarding(tls),
            _transcribe(context, certificates, streaming),
        ):
            reach = Reach(region, keys, hosts_file, certificates.authority)
            yield Models(reach, f"http://{address}:{port}", context.journal, proxy)


def host_names(region: str) -> list[str]:
    return [
        f"{service}.{region}.amazonaws.com"
        for service in ("bedrock-runtime", "bedrock-runtime-fips", "polly", "transcribestreaming")
    ]


def _listen() -> tuple[socket.socket, socket.socket, socket.socket]:
    """Return listening sockets on an unused loopback address.

    On Linux all of 127.0.0.0/8 belongs to this machine, so each run has AWS's ports to itself.
    """
    # `Reach` needs port 443; without it, `endpoint` still works.
    tls_port = 0 if problem_of("port 443") else _TLS_PORT
    for _ in range(20):
        address = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}.1"
        opened: list[socket.socket] = []
        try:
            for port in (tls_port, 0, _TRANSCRIBE_PORT):
                opened.append(socket.create_server((address, port)))
        except OSError:
            _close(opened)
            continue
        return opened[0], opened[1], opened[2]
    raise OSError("no free loopback address found")


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


@asynccontextmanager
async def _bedrock_and_polly(
    context: StandinContext, certificates: Certificates, tls: socket.socket, plain: socket.socket
) -> AsyncIterator[None]:
    config = Config()
    config.bind = [f"fd://{tls.detach()}"]
    config.insecure_bind = [f"fd://{plain.detach()}"]
    config.certfile, config.keyfile = str(certificates.chain), str(certificates.key)
    config.graceful_timeout = 0.2
    config.loglevel = "ERROR"
    stop = asyncio.Event()
    app: Any = BedrockAndPolly(context)  # hypercorn's ASGI types are TypedDicts of its own
    server = asyncio.create_task(serve_asgi(app, config, shutdown_trigger=stop.wait))
    try:
        yield
    finally:
        stop.set()
        # OpenSSL reports data on a closing connection as an error; it is harmless.
        with suppress(ssl.SSLError):
            await server


@asynccontextmanager
async def _transcribe(
    context: StandinContext, certificates: Certificates, listening: socket.socket
) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get(transcribe.PATH, transcribe.Transcribe(context).handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.chain, certificates.key)
    await web.SockSite(runner, listening, ssl_context=tls).start()
    try:
        yield
    finally:
        await runner.cleanup()


class BedrockAndPolly:
    """The ASGI application behind the host names of bedrock-runtime and Polly."""

    def __init__(self, context: StandinContext) -> None:
        self._context = context
        self._sonic = sonic.Sonic(context)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        service = "front"
        try:
            found = _MODEL_PATH.fullmatch(scope["raw_path"].decode())
            if found and found[2] == "invoke-with-bidirectional-stream":
                service = sonic.SERVICE
                _check_http2(scope)
                await self._sonic.serve(request_of(scope), unquote(found[1]), receive, send)
            elif found:
                service = converse.SERVICE
                await self._converse(scope, unquote(found[1]), receive, send)
            elif scope["path"] == "/v1/speech":
                service = polly.SERVICE
                await self._polly(scope, receive, send)
            else:
                raise Refused("UnknownOperationException", f"No {scope['path']} here.", 404)
        except Refused as refused:
            self._context.journal.note(
                service, "refused", kind=refused.kind, message=refused.message
            )
            await start(send, refused.status, refused.headers)
            await finish(send, refused.body)

    async def _converse(
        self, scope: Mapping[str, Any], model: str, receive: Receive, send: Send
    ) -> None:
        context = self._context
        request = request_of(scope, await read_body(receive))
        check_headers(request, context.keys, context.region, "bedrock")
        frames = converse.converse(context.script, context.region, model, request.body)
        context.journal.note(converse.SERVICE, "asked", model=model, body=request.body.decode())
        await start(send, 200, {"content-type": "application/vnd.amazon.eventstream"})
        for frame in frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await finish(send)

    async def _polly(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        context = self._context
        request = request_of(scope, await read_body(receive))
        check_headers(request, context.keys, context.region, "polly")
        text, sound = await asyncio.to_thread(polly.synthesize, request.body)
        context.journal.note(polly.SERVICE, "speaks", text=text)
        characters = str(len(text))
        await start(
            send, 200, {"content-type": "audio/pcm", "x-amzn-requestcharacters": characters}
        )
        await finish(send, sound)


def _check_http2(scope: Mapping[str, Any]) -> None:
    # Bidirectional streams exist over HTTP/2 only.
    if scope["http_version"] != "2":
        raise Refused("ValidationException", "Bidirectional streaming needs HTTP/2.")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
