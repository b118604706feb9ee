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
from starlette.types import Scope

FOLDER = Path(__file__).parent / "page"
# Files in assets/ are named by a hash of their content; browsers check all others for changes.
IMMUTABLE = "public, max-age=31536000, immutable"
# An example of a page with voice.js, for `voicecore dev` only.
EXAMPLE, EXAMPLE_FILES = "embed", ("embed.html", "embed.js")


class PageFiles(StaticFiles):
    """The page's files, which may connect only to this server and to the agent."""

    def __init__(self, folder: Path, agent: Callable[[], str]) -> None:
        super().__init__(directory=folder, html=True)
        self._agent, self._assets = agent, folder / "assets"

    def get_path(self, scope: Scope) -> str:
        """Return the path of the file that a request asks for."""
        path = super().get_path(scope)
        return EXAMPLE_FILES[0] if path == EXAMPLE else path

    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        """Return a file, with its caching and security headers."""
        response = super().file_response(full_path, *args, **kwargs)
        hashed = self._assets in Path(full_path).parents
        response.headers["Cache-Control"] = IMMUTABLE if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; connect-src 'self' {self._agent()}; object-src 'none'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        if Path(full_path).suffix == ".js":
            # Pages of other sites load voice.js. What it asks of the API needs ALLOWED_ORIGINS.
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response


def serve(
    app: FastAPI, agent: Callable[[], str], folder: Path = FOLDER, *, example: bool = False
) -> list[str]:
    """Add a route for each file of the page: no other path leads to a file.

    `agent` returns the origin that WebSockets connect to. Returns the paths of the scripts, which
    pages of other sites may load.
    """
    if not (folder / "index.html").is_file():
        return []
    page = GZipMiddleware(PageFiles(folder, agent))
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = [*files, EXAMPLE] if example else [name for name in files if name not in EXAMPLE_FILES]
    for name in ["", *files]:
        route = Route(f"/{name}", page, methods=["GET", "HEAD"], include_in_schema=False)
        app.router.routes.append(route)
    return [f"/{name}" for name in files if name.endswith(".js")]
