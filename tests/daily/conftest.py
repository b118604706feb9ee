"""Tests with a real account at Daily cost money: only `-m daily` collects them."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore this folder unless `-m daily` asks for it."""
    return None if config.getoption("markexpr") == "daily" else True
