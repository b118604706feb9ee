"""The page in the folder page/: a client for browsers. Delete the folder, and there is none."""

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
# What a build names by a hash of its content lies in assets/; of all else browsers ask each time
# whether it is still the same.
FOR_EVER = "public, max-age=31536000, immutable"


class Page(StaticFiles):
    """The page's files, which may connect to this server and to the agent, and to nobody else."""

    def __init__(self, folder: Path, agent: Callable[[], str]) -> None:
        super().__init__(directory=folder, html=True)
        self._agent, self._assets = agent, folder / "assets"

    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        """A file, with what a browser may do with it."""
        response = super().file_response(full_path, *args, **kwargs)
        hashed = self._assets in Path(full_path).parents
        response.headers["Cache-Control"] = FOR_EVER if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; connect-src 'self' {self._agent()}; object-src 'none'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return response


def serve(app: FastAPI, agent: Callable[[], str], folder: Path = FOLDER) -> None:
    """Add the page's files to the app, each by its name: no other path leads to any.

    `agent` tells the origin that WebSockets connect to.
    """
    if not (folder / "index.html").is_file():
        return
    page = GZipMiddleware(Page(folder, agent))
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in ["", *files]:
        route = Route(f"/{name}", page, methods=["GET", "HEAD"], include_in_schema=False)
        app.router.routes.append(route)
