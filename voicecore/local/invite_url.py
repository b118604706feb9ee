"""The way in from a browser: the address of the server's page, with an invite in it."""

from __future__ import annotations

import time
from pathlib import Path

from voicecore.contract.invites import invite

INVITE_SECONDS = 12 * 3600
"""A working day, and a while."""


def address(server: Path, url: str, key: str | None) -> str | None:
    """What to open in a browser; None where the server in this folder has no page, or no key.

    The invite comes after the #: no browser sends that anywhere, so it stays out of all logs.
    """
    if not key or not (server / "internal" / "page" / "index.html").is_file():
        return None
    return f"{url}/#{invite(key, time.time() + INVITE_SECONDS)}"


def sharing(server: str, runtime: str) -> list[str]:
    """How somebody elsewhere gets to talk to what runs here; both URLs are of this machine."""
    ports = [url.rpartition(":")[2] for url in (server, runtime)]
    forward = " ".join(f"-L {port}:127.0.0.1:{port}" for port in ports)
    return [
        "Only this machine reaches it, and it stays so: nothing here opens a way in.",
        f"From another computer of yours:  ssh {forward} THIS-MACHINE",
        "  then open the same address there. Browsers lend the microphone to localhost and to",
        "  https:// pages only, so the address of this machine alone would not do.",
        "From anywhere:  voicecore deploy",
        "  and run server/ behind a reverse proxy that has a certificate (server/.env.example).",
    ]
