"""arm64 programs on this machine: QEMU 10 in the kernel's table of foreign binaries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.requirements import require
from tests.standins.image.engine import Engine
from tests.standins.image.parts import part
from tests.standins.image.shared import shared

_TABLE = Path("/proc/sys/fs/binfmt_misc")
_ENTRY = _TABLE / "voicecore-aarch64"
# The first 20 bytes of an ELF file for aarch64, as QEMU's own scripts/qemu-binfmt-conf.sh has them.
_MAGIC = rb"\x7fELF\x02\x01\x01\x00" + rb"\x00" * 8 + rb"\x02\x00\xb7\x00"
_MASK = rb"\xff" * 7 + rb"\x00" + rb"\xff" * 8 + rb"\xfe\xff\xff\xff"


@contextmanager
def arm64() -> Iterator[None]:
    """Lets the machine run arm64 programs until the block ends, in containers too (root)."""
    if os.uname().machine == "aarch64":
        yield
        return
    require("arm64 emulation")
    with shared("arm64", _register, _restore):
        yield


def runs_arm64(engine: Engine, image: str) -> bool:
    """Whether `docker run --platform linux/arm64` works with this engine and image."""
    command = ["run", "--rm", "--init", "--platform", "linux/arm64", image, "uname", "-m"]
    try:
        return engine.docker(*command).strip() == "aarch64"
    except RuntimeError:
        return False


def _register() -> str:
    mounted = (_TABLE / "register").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(_TABLE)], check=True)
    if not _ENTRY.exists():
        # F: the kernel opens the emulator now, so that it is there in every container. The newest
        # entry counts: an older QEMU that is registered, too, stays as it is.
        parts = (b"", _ENTRY.name.encode(), b"M", b"", _MAGIC, _MASK, part("qemu-aarch64").encode())
        (_TABLE / "register").write_bytes(b":".join((*parts, b"F")))
    return json.dumps({"mounted": mounted})


def _restore(before: str) -> None:
    if _ENTRY.exists():
        _ENTRY.write_text("-1")
    if not json.loads(before)["mounted"]:
        subprocess.run(["umount", str(_TABLE)], check=True)
