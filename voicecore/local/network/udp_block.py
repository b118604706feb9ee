"""Owns `--network public`: it blocks an agent's UDP, as AgentCore's PUBLIC network mode does.

PUBLIC mode blocks outgoing UDP, which is why WebRTC without TURN over TCP works on a laptop and
never connects in AWS (pipecat-examples, deployment/aws-agentcore-webrtc/README.md). On Linux, as
root, agents run in a group of their own, and iptables rejects that group's UDP until the runtime
ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from voicecore.console.errors import ExitCode, VoicecoreError

# A group ID that no /etc/group assigns: above all system and user ranges, below the 16-bit limit.
AGENT_GROUP = 61_183
_IPTABLES = ("iptables", "ip6tables")


class UdpBlockUnavailable(VoicecoreError):
    """The machine cannot block an agent's UDP."""


def block_rules(group: int) -> list[list[str]]:
    """Return the iptables rules for `group`: they allow DNS and 127.0.0.1, and reject other UDP."""
    owner = ["OUTPUT", "-p", "udp", "-m", "owner", "--gid-owner", str(group)]
    return [
        [*owner, "!", "-o", "lo", "-j", "REJECT"],
        [*owner, "--dport", "53", "-j", "ACCEPT"],
    ]


def can_block(platform: str, user: int, missing: Sequence[str]) -> bool:
    """Return whether a process of `user` (0 is root) can set the rules."""
    return platform == "linux" and user == 0 and not missing


@contextmanager
def udp_blocked_group() -> Generator[int]:
    """Yield the ID of a group whose UDP is blocked while the block runs.

    Raises UdpBlockUnavailable.
    """
    missing = [tool for tool in _IPTABLES if shutil.which(tool) is None]
    if not can_block(sys.platform, os.geteuid(), missing):
        raise UdpBlockUnavailable(
            "Blocking UDP needs Linux, root and iptables.",
            "Omit --network public, or run as root in a container:  "
            "docker run --cap-add NET_ADMIN …",
            ExitCode.MISSING_TOOL,
        )
    added: list[list[str]] = []
    try:
        for tool in _IPTABLES:
            for rule in block_rules(AGENT_GROUP):
                _run(
                    [tool, "-w", "-I", *rule]
                )  # -I inserts at the front: the last one matches first
                added.append([tool, "-w", "-D", *rule])
        yield AGENT_GROUP
    finally:
        for argv in added:
            _run(argv)


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UdpBlockUnavailable(
            f"{' '.join(argv)} failed: {done.stderr.strip()}",
            "Use a kernel that has the iptables owner match (xt_owner).",
            ExitCode.MISSING_TOOL,
        )
