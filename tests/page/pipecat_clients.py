"""Builds the clients of docs/clients.md as a reader does, with the packages that it names."""

from __future__ import annotations

import mimetypes
import os
import re
import shlex
import subprocess
from pathlib import Path

from playwright.sync_api import Page, Route

DOCS = Path(__file__).parents[2] / "docs" / "clients.md"
ORIGIN = "http://localhost:5173"
"""Origin of Vite's server, which serves the clients of a developer."""


def code(title: str) -> str:
    """Return the block of the page that has this title."""
    found = re.search(
        rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```',
        DOCS.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"{DOCS.name} has no block {title}"
    return found[1]


def installed(folder: Path) -> Path:
    """Install the packages of all clients into a folder."""
    packages = {
        word
        for command in re.findall(r"^npm install ((?:.*\\\n)*.*)", DOCS.read_text(), re.MULTILINE)
        for word in shlex.split(command.replace("\\\n", " "))
    }
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm(folder, "npm", "install", "--no-audit", "--no-fund", *sorted(packages))
    return folder


def built(folder: Path, server: str, *titles: str) -> Path:
    """Build the client that has these files; return the folder of the result."""
    app = folder / "-".join(titles).replace("/", "-")
    app.mkdir()
    for title in titles:
        (app / Path(title).name).write_text(code(title))
    npm(app, "npx", "vite", "build", VITE_SERVER=server)
    return app / "dist"


def npm(folder: Path, *argv: str, **env: str) -> None:
    quiet = {"npm_config_loglevel": "error", "npm_config_update_notifier": "false"}
    done = subprocess.run(
        argv, cwd=folder, env=os.environ | quiet | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def serve(page: Page, folder: Path) -> None:
    """Answer the page's requests to ORIGIN with the files of a folder."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(ORIGIN).partition("#")[0].lstrip("/")
        path = folder / (name or "index.html")
        kind = mimetypes.guess_type(path.name)[0]
        if path.is_file():
            route.fulfill(path=path, content_type=kind)
        else:
            route.fulfill(status=404)

    page.route(f"{ORIGIN}/**", answer)
