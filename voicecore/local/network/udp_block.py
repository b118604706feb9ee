"""`--network public`: what AgentCore's PUBLIC network mode takes from an agent, taken here too.

PUBLIC mode lets no UDP out, which is why WebRTC without TURN over TCP works on a laptop and never
connects in AWS (pipecat-examples, deployment/aws-agentcore-webrtc/README.md). On Linux, as root,
agents get a group of their own, and iptables refuses that group's UDP until the runtime ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from voicecore.console.errors import ExitCode, VoicecoreError

# An id that no /etc/group gives out: above all system and user ranges, below the 16-bit limit.
AGENT_GROUP = 61_183
_IPTABLES = ("iptables", "ip6tables")


class CannotBlock(VoicecoreError):
    """Nothing on this machine blocks an agent's UDP for us."""


def rules(group: int) -> list[list[str]]:
    """Return the rules for `group`: names are resolved (DNS) and 127.0.0.1 stays; no other UDP."""
    owner = ["OUTPUT", "-p", "udp", "-m", "owner", "--gid-owner", str(group)]
    return [
        [*owner, "!", "-o", "lo", "-j", "REJECT"],
        [*owner, "--dport", "53", "-j", "ACCEPT"],
    ]


def can_block(platform: str, user: int, missing: Sequence[str]) -> bool:
    """Return whether a process of `user` (0 is root) can set the rules."""
    return platform == "linux" and user == 0 and not missing


@contextmanager
def public_network() -> Generator[int]:
    """Block UDP for a group while the block is open; yields the group id. Raises CannotBlock."""
    missing = [tool for tool in _IPTABLES if shutil.which(tool) is None]
    if not can_block(sys.platform, os.geteuid(), missing):
        raise CannotBlock(
            "Blocking UDP needs Linux, root and iptables.",
            "Leave out --network public, or run as root in a container: "
            "docker run --cap-add NET_ADMIN …",
            ExitCode.MISSING_TOOL,
        )
    added: list[list[str]] = []
    try:
        for tool in _IPTABLES:
            for rule in rules(AGENT_GROUP):
                _run([tool, "-w", "-I", *rule])  # -I puts each in front: the last one counts first
                added.append([tool, "-w", "-D", *rule])
        yield AGENT_GROUP
    finally:
        for argv in added:
            _run(argv)


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotBlock(
            f"{' '.join(argv)} failed: {done.stderr.strip()}",
            "The kernel needs the iptables owner match (xt_owner).",
            ExitCode.MISSING_TOOL,
        )
