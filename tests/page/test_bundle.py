"""The page that is shipped: it is what its source makes, and it is light."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.page.site import PAGE
from voicecore.scaffold.render import templates

CLIENT = templates() / "_ejectable" / "client"
LIMIT = 150_000


def compressed(files: Iterable[Path]) -> int:
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def test_the_bundle_is_what_its_source_makes(tmp_path: Path) -> None:
    """Made as its users make it, with the packages of the lockfile, and checked on the way."""
    client = tmp_path / "client"
    shutil.copytree(CLIENT, client, ignore=shutil.ignore_patterns("node_modules"))
    quiet = {**os.environ, "npm_config_loglevel": "error", "npm_config_update_notifier": "false"}
    for command in (
        ["npm", "ci", "--no-audit", "--no-fund"],
        ["npm", "run", "check"],
        ["npm", "run", "build"],
    ):
        done = subprocess.run(command, cwd=client, env=quiet, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    made = contents(tmp_path / "server" / "internal" / "page")
    shipped = contents(PAGE)
    assert made.keys() == shipped.keys()
    different = [name for name in made if made[name] != shipped[name]]
    assert different == [], "the page was not built:  cd client && npm ci && npm run build"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_it_is_light() -> None:
    """All of it, whichever transport is used; what is loaded first is less."""
    assert compressed(PAGE.iterdir()) < LIMIT
