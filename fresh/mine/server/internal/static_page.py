"""Serves the browser page if the folder page/ exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "page"
# Files in assets/ are named by a hash of their content; browsers check all others for changes.
IMMUTABLE = "public, max-age=31536000, immutable"


class PageFiles(StaticFiles):
    """The page's files, which may connect only to this server and to the agent."""

    def __init__(self, folder: Path, agent: Callable[[], str]) -> None:
        super().__init__(directory=folder, html=True)
        self._agent, self._assets = agent, folder / "assets"

    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        """Return a file, with its caching and security headers."""
        response = super().file_response(full_path, *args, **kwargs)
        hashed = self._assets in Path(full_path).parents
        response.headers["Cache-Control"] = IMMUTABLE if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; connect-src 'self' {self._agent()}; object-src 'none'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return response


def serve(app: FastAPI, agent: Callable[[], str], folder: Path = FOLDER) -> None:
    """Add a route for each file of the page: no other path leads to a file.

    `agent` returns the origin that WebSockets connect to.
    """
    if not (folder / "index.html").is_file():
        return
    page = GZipMiddleware(PageFiles(folder, agent))
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in ["", *files]:
        route = Route(f"/{name}", page, methods=["GET", "HEAD"], include_in_schema=False)
        app.router.routes.append(route)
