"""Tests in a real account cost money: without `-m aws` they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves this folder out of every run that does not ask for it."""
    return None if config.getoption("markexpr") == "aws" else True
