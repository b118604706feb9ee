"""PUBLIC network mode blocks an agent's UDP, and the firewall is restored afterwards."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.standins.runtime.runtime_lab import runtime_lab


def firewall() -> str:
    return subprocess.run(
        ["iptables", "-w", "-S", "OUTPUT"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.needs("network namespaces")
def test_udp_is_blocked_for_agents_only(tmp_path: Path) -> None:
    async def main() -> None:
        before = firewall()
        udp = b'{"do": "udp", "host": "192.0.2.1"}'  # TEST-NET-1, unused (RFC 5737)
        async with runtime_lab(tmp_path, block_udp=True) as here:
            assert (await here.ask(udp))["udp"] == "PermissionError"
            local = await here.ask(b'{"do": "udp", "host": "127.0.0.1"}')
            assert local["udp"] == "sent"
        assert firewall() == before
        async with runtime_lab(tmp_path) as here:
            assert (await here.ask(udp))["udp"] != "PermissionError"

    asyncio.run(main())
