"""Tests in a real AWS account cost money, so they are collected only with `-m aws`."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore this folder unless the run asks for it."""
    return None if config.getoption("markexpr") == "aws" else True
