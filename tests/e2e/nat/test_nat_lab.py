"""The NAT lab does what it claims: NATs, blocked UDP, lost packets, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.standins.nat.coturn import TurnCredentials
from tests.standins.nat.lab import NatLab, Side, nat_lab

NAT = Path(__file__).parents[2] / "standins/nat"
STUN = str(NAT / "stun.py")
ALLOCATE = str(NAT / "allocate.py")


def seen_by(side: Side, *servers: str) -> list[str]:
    """Return the address of this side that each STUN server sees."""
    return side.run(sys.executable, STUN, *servers).stdout.split()


def traces(pid: int) -> list[str]:
    """Return what the networks of a process left on this machine."""
    listed = [("ip", "netns", "list"), ("ip", "-o", "link"), ("iptables-save",)]
    lines = [
        line
        for argv in listed
        for line in subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()
    ]
    lines += map(str, Path("/etc/netns").glob("*"))
    return [line for line in lines if f"vcn{pid}-" in line]


@pytest.fixture(scope="module")
def two(net: NatLab) -> tuple[str, str]:
    """Addresses of two STUN servers."""
    other, _ = net.another_turn()
    return f"{net.turn.address}:3478", f"{other.address}:3478"


def test_symmetric_nat_uses_another_port_for_each_peer(net: NatLab, two: tuple[str, str]) -> None:
    first, second = seen_by(net.agent, *two)
    assert first.split(":")[0] == second.split(":")[0] == net.agent.nat.address
    assert first != second


def test_cone_nat_uses_the_same_port_for_all_peers(net: NatLab, two: tuple[str, str]) -> None:
    first, second = seen_by(net.client, *two)
    assert first == second
    assert first.startswith(net.client.nat.address + ":")


def test_nat_can_change_its_type(net: NatLab, two: tuple[str, str]) -> None:
    with net.client.nat.symmetric():
        assert len(set(seen_by(net.client, *two))) == 2
    assert len(set(seen_by(net.client, *two))) == 1


def test_udp_can_be_blocked_while_tcp_passes(net: NatLab, two: tuple[str, str]) -> None:
    with net.client.nat.udp_blocked():
        assert seen_by(net.client, two[0]) == ["-"]
        assert connects(net.client, net.turn.address, 3478)
    assert seen_by(net.client, two[0]) != ["-"]


def test_packets_are_lost_at_the_requested_rate(net: NatLab, two: tuple[str, str]) -> None:
    with net.client.nat.lossy(1.0):
        assert seen_by(net.client, two[0]) == ["-"]
    with net.client.nat.lossy(0.4):
        # With 0.4 lost each way, a third of 12 round trips succeeds; all or none is improbable.
        answers = Counter(answer == "-" for answer in seen_by(net.client, *[two[0]] * 12))
    assert set(answers) == {True, False}


def test_only_this_machine_can_connect_and_only_by_tcp(net: NatLab) -> None:
    server = [sys.executable, "-m", "http.server", "8080"]
    with net.agent.started(*server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        fetch = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--retry-connrefused"]
        url = f"http://{net.agent.nat.address}:8080/"
        here = subprocess.run([*fetch, "--retry", "20", "--retry-delay", "1", url],
                              capture_output=True, text=True)  # fmt: skip
        assert here.stdout == "200"
        assert not connects(net.client, net.agent.nat.address, 8080)


def test_relay_listens_on_udp_tcp_and_tls(net: NatLab) -> None:
    assert seen_by(net.agent, f"{net.turn.address}:3478") != ["-"]
    greet = ["openssl", "s_client", "-connect", f"{net.turn.address}:5349", "-brief",
             "-verify_return_error", "-CAfile", str(net.certificates.authority)]  # fmt: skip
    assert "Verification: OK" in net.client.run(*greet, input="").stderr
    assert connects(net.client, net.turn.address, 3478)


@pytest.mark.parametrize(
    ("seconds", "password", "allowed"),
    [(60, None, True), (-60, None, False), (60, "wrong", False)],
)
def test_relay_accepts_credentials_that_have_not_expired(
    net: NatLab, seconds: float, password: str | None, allowed: bool
) -> None:
    given = net.credentials(seconds)
    given = replace(given, password=password or given.password)
    assert allocates(net.agent, net.turn.address, given) == allowed


def test_relay_can_have_fixed_credentials(net: NatLab) -> None:
    fixed = TurnCredentials("someone", "their password")
    server, process = net.another_turn(fixed)
    assert allocates(net.client, server.address, fixed)
    assert not allocates(net.client, server.address, TurnCredentials("someone", "not theirs"))
    process.kill()
    process.wait()
    assert not connects(net.client, server.address, 3478)


def test_stun_can_be_slow_or_silent(net: NatLab) -> None:
    assert seen_by(net.client, f"{net.silent_address}:3478") == ["-"]
    with net.slow_stun(0.5) as uri:
        started = time.monotonic()
        assert seen_by(net.client, uri.removeprefix("stun:")) == ["?"]
        assert time.monotonic() - started >= 0.5


def test_several_labs_run_at_once_and_leave_nothing() -> None:
    before = traces(os.getpid())
    with (
        nat_lab("cone", "udp-blocked") as one,
        nat_lab("symmetric", "symmetric") as other,
    ):
        assert one.public.subnet != other.public.subnet
        assert seen_by(one.agent, f"{one.turn.address}:3478") != ["-"]
        assert seen_by(one.client, f"{one.turn.address}:3478") == ["-"]
        assert seen_by(other.agent, f"{other.turn.address}:3478") != ["-"]
        assert seen_by(other.client, f"{one.turn.address}:3478") == ["-"]
        left = subprocess.Popen(one.agent.argv("sleep", "60"))
    assert left.wait(60) == -9
    assert traces(os.getpid()) == before


def connects(side: Side, address: str, port: int) -> bool:
    program = f"import socket; socket.create_connection(('{address}', {port}), 0.7)"
    return side.run(sys.executable, "-c", program).returncode == 0


def allocates(side: Side, address: str, given: TurnCredentials) -> bool:
    done = side.run(sys.executable, ALLOCATE, address, given.username, given.password)
    assert done.stdout.strip() in (address, "401"), done
    return done.stdout.strip() == address
