"""Tests with a real account at Daily cost money: without `-m daily` they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves this folder out of every run that does not ask for it."""
    return None if config.getoption("markexpr") == "daily" else True
