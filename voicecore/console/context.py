"""Owns the process as a value: working directory, environment, output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voicecore.console.output import Output


@dataclass(frozen=True)
class Context:
    """The process that a command runs in; tests pass their own."""

    cwd: Path = field(default_factory=Path.cwd)
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    output: Output = field(default_factory=Output)
    interactive: bool = field(default_factory=lambda: sys.stdin.isatty() and sys.stderr.isatty())
