"""Owns the docker command's config.json without its credential helpers, for a build.

The command fails if a helper does, even for a registry that needs no login: Docker Desktop leaves
its `credsStore` behind when it is removed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

HELPER_FAILED = "Docker's credential helper failed"


def helper_failed(output: str) -> bool:
    """Return whether the docker command failed because a credential helper did."""
    return "error getting credentials" in output


@contextmanager
def without_helpers(env: Mapping[str, str]) -> Generator[dict[str, str]]:
    """Give `env` with another config folder: the user's, but config.json names no helper."""
    home = Path(env.get("HOME", "~")).expanduser()
    own = Path(env.get("DOCKER_CONFIG") or home / ".docker")
    with tempfile.TemporaryDirectory(prefix="voicecore-") as temporary:
        folder = Path(temporary)
        for entry in own.iterdir():
            if entry.name != "config.json":  # plugins, contexts, and the state of buildx
                (folder / entry.name).symlink_to(entry.absolute())
        settings = json.loads((own / "config.json").read_text(encoding="utf-8"))
        settings = {key: value for key, value in settings.items() if not key.startswith("cred")}
        (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        yield {**env, "DOCKER_CONFIG": temporary}
