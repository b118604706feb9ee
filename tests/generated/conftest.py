"""Projects, each made once a kind, when a test first asks for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import uv

from tests.generated.projects import KINDS, Kind, rendered, run
from tests.requirements import require
from voicecore.catalog.pipelines import PIPELINES
from voicecore.scaffold.render import write_new


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """Renders a project and makes its two environments, as its user would, once a kind."""

    @cache
    def made(kind: Kind) -> Path:
        if PIPELINES[kind.pipeline].python == ">=3.12":
            require("Python 3.12")
        folder = tmp_path_factory.mktemp("projects") / "support-line"
        write_new(rendered(kind), folder)
        for part in ("agent", "server"):
            run(folder, uv.find_uv_bin(), "sync", "--quiet", "--project", part)
        return folder

    return made


@pytest.fixture(params=KINDS, ids=str)
def project(request: pytest.FixtureRequest, make: Callable[[Kind], Path]) -> Path:
    """A project of every kind; tests that need fewer say which."""
    return make(request.param)
