"""Fixtures of generated projects; each kind is created once, when a test first needs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import uv

from tests.generated.projects import KINDS, Kind, rendered, run
from tests.requirements import require
from voicecore.scaffold.render import write_new


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """Return a function that creates a project of a kind, with both environments."""
    require("Python 3.13")

    @cache
    def create(kind: Kind) -> Path:
        folder = tmp_path_factory.mktemp("projects") / "support-line"
        write_new(rendered(kind), folder)
        for part in ("agent", "server"):
            run(folder, uv.find_uv_bin(), "sync", "--quiet", "--project", part)
        return folder

    return create


@pytest.fixture(params=KINDS, ids=str)
def project(request: pytest.FixtureRequest, make: Callable[[Kind], Path]) -> Path:
    """A project of every kind in KINDS; `only` selects fewer."""
    return make(request.param)
