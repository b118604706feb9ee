"""Owns the URL that opens the session server's page in a browser, with an invite in it."""

from __future__ import annotations

import time
from pathlib import Path

from voicecore.contract.invites import sign_invite

INVITE_SECONDS = 12 * 3600
"""Longer than a working day."""


def invite_url(server: Path, url: str, key: str | None) -> str | None:
    """Return the URL to open in a browser; None if the server has no page or no key.

    `server` is the server's folder. The invite follows the #: browsers do not send that part, so it
    appears in no log.
    """
    if not key or not (server / "internal" / "page" / "index.html").is_file():
        return None
    return f"{url}/#{sign_invite(key, time.time() + INVITE_SECONDS)}"


def share_instructions(server: str, runtime: str) -> list[str]:
    """Return how someone else can talk to this agent; both URLs are local to this machine."""
    ports = [url.rpartition(":")[2] for url in (server, runtime)]
    forward = " ".join(f"-L {port}:127.0.0.1:{port}" for port in ports)
    return [
        "Only this machine can reach the agent; `voicecore dev` opens no port to the network.",
        f"From another computer of yours:  ssh {forward} THIS-MACHINE",
        "  then open the same URL there. Browsers give the microphone only to localhost and",
        "  https:// pages, so the address of this machine would not work.",
        "From anywhere:  voicecore deploy --server",
        "  then send the link that this prints:  voicecore invite",
    ]
