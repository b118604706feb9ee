"""The page with a session server behind it: one origin, an invite, and a strict policy."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession, web

from tests.lab.conversation.conftest import dev
from voicecore.local.state import read_state
from voicecore.scaffold.render import templates

PAGE = templates() / "_shared" / "server" / "page"
INVITE = "an-invite-that-only-this-guest-has"
TRANSPORTS = ["websocket", "webrtc"]


@dataclass
class Site:
    """Where the page is, and what it asked of the session server: (method, path, status)."""

    url: str = ""
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def invitation(self) -> str:
        return f"{self.url}/#{INVITE}"


def made(folder: Path) -> Path:
    """A project in `folder` that speaks both transports, and needs no account."""
    flags = ["-t", "websocket", "-t", "webrtc", "--pipeline", "offline", "--yes"]
    argv = [sys.executable, "-m", "voicecore", "init", "ada", *flags]
    subprocess.run(argv, cwd=folder, check=True)
    return folder / "ada"


@contextmanager
def answered(project: Path) -> Iterator[Site]:
    """The project's page before its session server, with the agent behind, while the block runs."""
    key = (project / "server/.env").read_text().partition("SESSION_API_KEY=")[2].split()[0]
    with dev(project):
        state = read_state(project / ".voicecore")
        assert state
        with served(state.server, key, project / "server/page") as site:
            yield site


@contextmanager
def served(server: str, key: str, folder: Path = PAGE, port: int = 0) -> Iterator[Site]:
    """The page in `folder` before the session server at `server`, while the block runs."""
    site, up, loop = Site(), threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with ClientSession() as http:
            runner = web.AppRunner(_app(site, http, server, key, folder))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            up.set()
            await done.wait()
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield site
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


def _app(site: Site, http: ClientSession, server: str, key: str, folder: Path) -> web.Application:
    policy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:*"
    secured = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / "index.html", headers=secured)

    async def config(_: web.Request) -> web.Response:
        return web.json_response({"project": "support-line", "transports": TRANSPORTS})

    async def forward(request: web.Request) -> web.Response:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if token := request.headers.get("X-Session-Token"):
            headers["X-Session-Token"] = token
        elif request.headers.get("Authorization") != f"Bearer {INVITE}":
            body = {"error": {"code": "unauthorized", "message": "This invite is not known."}}
            return _told(web.json_response(body, status=401), request)
        async with http.request(
            request.method, server + request.path, data=await request.read(), headers=headers
        ) as answer:
            body = await answer.read()
            return _told(
                web.Response(body=body, status=answer.status, content_type="application/json"),
                request,
            )

    def _told(response: web.Response, request: web.Request) -> web.Response:
        site.asked.append((request.method, request.path, response.status))
        return response

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_get("/config", config)
    app.router.add_route("*", "/start", forward)
    app.router.add_route("*", "/sessions/{rest:.*}", forward)
    app.router.add_static("/", folder)
    return app
