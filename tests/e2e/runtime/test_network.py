"""PUBLIC network mode: an agent's UDP goes nowhere, and the firewall is as before afterwards."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standins.runtime.runtime_lab import lab
from voicecore.local.network.udp_block import can_block, rules

ALLOWED = sys.platform == "linux" and os.geteuid() == 0


def firewall() -> str:
    return subprocess.run(
        ["iptables", "-w", "-S", "OUTPUT"], capture_output=True, text=True, check=True
    ).stdout


def test_names_are_resolved_and_nothing_else() -> None:
    first, second = (" ".join(rule) for rule in rules(7))
    assert first == "OUTPUT -p udp -m owner --gid-owner 7 ! -o lo -j REJECT"
    assert second == "OUTPUT -p udp -m owner --gid-owner 7 --dport 53 -j ACCEPT"


@pytest.mark.parametrize(
    ("platform", "user", "missing", "possible"),
    [
        ("linux", 0, [], True),
        ("linux", 1000, [], False),
        ("linux", 0, ["ip6tables"], False),
        ("darwin", 0, [], False),
    ],
)
def test_who_can_block(platform: str, user: int, missing: list[str], possible: bool) -> None:
    assert can_block(platform, user, missing) == possible


@pytest.mark.skipif(not ALLOWED, reason="only root on Linux may block UDP")
def test_udp_is_blocked_for_agents_only(tmp_path: Path) -> None:
    async def main() -> None:
        before = firewall()
        udp = b'{"do": "udp", "host": "192.0.2.1"}'  # TEST-NET-1: nobody's (RFC 5737)
        async with lab(tmp_path, public_network=True) as here:
            assert (await here.ask(udp))["udp"] == "PermissionError"
            local = await here.ask(b'{"do": "udp", "host": "127.0.0.1"}')
            assert local["udp"] == "sent"
        assert firewall() == before
        async with lab(tmp_path) as here:
            assert (await here.ask(udp))["udp"] != "PermissionError"

    asyncio.run(main())
