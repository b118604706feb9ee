"""Serve the page: from a project's session server, or without a server behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tests.e2e.conversation.conftest import dev
from tests.ports import free_port
from tests.requirements import require
from tests.standins import site
from tests.standins.background import in_background
from voicecore.local.invite_url import invite_url
from voicecore.local.processes.dev_state import read_state
from voicecore.scaffold.render import templates

PAGE = templates() / "_shared" / "server" / "internal" / "page"


@dataclass(frozen=True)
class Site:
    """The page's URL, and an invite for it."""

    url: str
    invite: str = "an-invite-that-only-this-guest-has"

    @property
    def invitation(self) -> str:
        return f"{self.url}/#{self.invite}"


def create_project(folder: Path) -> Path:
    """Create an offline project with both transports in `folder`."""
    require("Python 3.13")
    flags = ["-t", "websocket", "-t", "webrtc", "--pipeline", "offline", "--yes"]
    argv = [sys.executable, "-m", "voicecore", "init", "support-line", *flags]
    subprocess.run(argv, cwd=folder, check=True)
    return folder / "support-line"


def key_of(project: Path) -> str:
    """Return the project's SESSION_API_KEY."""
    return (project / "server/.env").read_text().partition("SESSION_API_KEY=")[2].split()[0]


@contextmanager
def dev_site(project: Path) -> Iterator[Site]:
    """Serve the project's page with `voicecore dev`, agent included."""
    # Other tests that run at the same time use the default ports.
    with dev(project, "--port", str(free_port()), "--server-port", str(free_port())):
        state = read_state(project / ".voicecore")
        assert state
        page = invite_url(project / "server", state.server, key_of(project))
        assert page
        yield Site(*page.split("/#"))


@contextmanager
def static_site() -> Iterator[Site]:
    """Serve the page without a session server; each test fakes the server's responses."""
    with in_background(site.serving(_app())) as served:
        yield Site(served.url)


def _app() -> web.Application:
    policy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:*"

    async def index(_: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": policy})

    async def config(_: web.Request) -> web.Response:
        return web.json_response({"project": "support-line", "transports": ["websocket", "webrtc"]})

    async def headers(_: web.Request, response: web.StreamResponse) -> None:
        if response.content_type.endswith("javascript"):
            response.headers["Access-Control-Allow-Origin"] = "*"  # as static_page.py does

    app = web.Application()
    app.on_response_prepare.append(headers)
    app.router.add_get("/", index)
    app.router.add_get("/config", config)
    app.router.add_static("/", PAGE)
    return app
