"""The built page in the templates: it matches its source, and it is small."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.page.site import PAGE
from voicecore.scaffold.render import templates

CLIENT = templates() / "_ejectable" / "client"
LIMIT, LIMIT_EMBEDDED = 150_000, 10_000


def compressed(files: Iterable[Path]) -> int:
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def test_page_is_the_build_of_its_source(tmp_path: Path) -> None:
    """It is built as users build it, with the packages of the lock file, and type-checked."""
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
    built = contents(tmp_path / "server" / "internal" / "page")
    committed = contents(PAGE)
    assert built.keys() == committed.keys()
    different = [name for name in built if built[name] != committed[name]]
    assert different == [], "rebuild the page:  cd client && npm ci && npm run build"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_page_that_embeds_a_call_loads_10_kb_before_the_first_click() -> None:
    """A script loads with it what it imports by `import ... from`."""
    script = PAGE / "voice.js"
    loaded = re.findall(r'from"\./([\w.-]+)"', script.read_text())
    assert compressed([script, *(PAGE / name for name in loaded)]) < LIMIT_EMBEDDED


def test_page_is_below_150_kb_compressed() -> None:
    """The sum counts every file, although a browser loads only one transport's."""
    assert compressed(PAGE.iterdir()) < LIMIT
