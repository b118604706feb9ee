"""Runs every benchmark and prints rows for RESULTS.md: `python -m benchmarks`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime

NAMES = ("startup", "relay", "voice", "sound", "calls", "page", "webrtc", "server", "coldstart",
         "snapshot", "image", "deploy", "minute", "interruptions")  # fmt: skip


def main() -> None:
    """Run each benchmark in its own process, so that none warms the caches of another."""
    cores = os.cpu_count()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.platform()}, {cores} cores, "
          f"Python {platform.python_version()}")  # fmt: skip
    for name in NAMES:
        print(f"\n`python -m benchmarks.{name}`\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
