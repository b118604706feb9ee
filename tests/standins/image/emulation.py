"""Emulation of arm64 programs on this machine: QEMU 10, registered with the kernel."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.requirements import require
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.machine_settings import shared_setting
from tests.standins.image.tools import tool

_TABLE = Path("/proc/sys/fs/binfmt_misc")
_ENTRY = _TABLE / "voicecore-aarch64"
# First 20 bytes of an ELF file for aarch64, from QEMU's scripts/qemu-binfmt-conf.sh.
_MAGIC = rb"\x7fELF\x02\x01\x01\x00" + rb"\x00" * 8 + rb"\x02\x00\xb7\x00"
_MASK = rb"\xff" * 7 + rb"\x00" + rb"\xff" * 8 + rb"\xfe\xff\xff\xff"


@contextmanager
def arm64_emulation() -> Iterator[None]:
    """Let the machine run arm64 programs during the block, in containers too (root)."""
    if os.uname().machine == "aarch64":
        yield
        return
    require("arm64 emulation")
    with shared_setting("arm64", _register, _restore):
        yield


def runs_arm64(daemon: DockerDaemon, image: str) -> bool:
    """Return whether `docker run --platform linux/arm64` works with this daemon and image."""
    command = ["run", "--rm", "--init", "--platform", "linux/arm64", image, "uname", "-m"]
    try:
        return daemon.docker(*command).strip() == "aarch64"
    except RuntimeError:
        return False


def _register() -> str:
    mounted = (_TABLE / "register").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(_TABLE)], check=True)
    if not _ENTRY.exists():
        # F: the kernel opens the emulator now, so that every container can use it. The newest entry
        # is used, so an older QEMU that is registered can stay.
        emulator = tool("qemu-aarch64").encode()
        fields = (b"", _ENTRY.name.encode(), b"M", b"", _MAGIC, _MASK, emulator, b"F")
        (_TABLE / "register").write_bytes(b":".join(fields))
    return json.dumps({"mounted": mounted})


def _restore(before: str) -> None:
    if _ENTRY.exists():
        _ENTRY.write_text("-1")
    if not json.loads(before)["mounted"]:
        subprocess.run(["umount", str(_TABLE)], check=True)
