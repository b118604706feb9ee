"""The network is what it says: NATs, blocked UDP, lost packets, and nothing left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.standins.nat.lab import NatLab, Place, lab
from voicecore.local.network.coturn import Login
from voicecore.local.network.namespaces import Nat

NAT = Path(__file__).parents[2] / "standins/nat"
STUN = str(NAT / "stun.py")
ALLOCATE = str(NAT / "allocate.py")


def seen(place: Place, *servers: str) -> list[str]:
    return place.run(sys.executable, STUN, *servers).stdout.split()


def traces(pid: int) -> list[str]:
    """What the networks of a process leave on this machine."""
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
    """Two STUN servers at different addresses."""
    other, _ = net.another_turn()
    return f"{net.turn.address}:3478", f"{other.address}:3478"


def test_a_symmetric_nat_shows_each_peer_another_port(net: NatLab, two: tuple[str, str]) -> None:
    first, second = seen(net.agent, *two)
    assert first.split(":")[0] == second.split(":")[0] == net.agent.house.address
    assert first != second


def test_a_cone_nat_shows_all_peers_the_same_port(net: NatLab, two: tuple[str, str]) -> None:
    first, second = seen(net.client, *two)
    assert first == second
    assert first.startswith(net.client.house.address + ":")


def test_a_nat_can_change_its_kind(net: NatLab, two: tuple[str, str]) -> None:
    symmetric = replace(net.client.house.rules, nat=Nat.SYMMETRIC)
    with net.client.house.following(symmetric):
        assert len(set(seen(net.client, *two))) == 2
    assert len(set(seen(net.client, *two))) == 1


def test_udp_can_be_blocked_while_tcp_passes(net: NatLab, two: tuple[str, str]) -> None:
    with net.client.house.udp_blocked():
        assert seen(net.client, two[0]) == ["-"]
        assert connects(net.client, net.turn.address, 3478)
    assert seen(net.client, two[0]) != ["-"]


def test_packets_are_lost_at_the_rate_asked_for(net: NatLab, two: tuple[str, str]) -> None:
    with net.client.house.lossy(1.0):
        assert seen(net.client, two[0]) == ["-"]
    with net.client.house.lossy(0.4):
        # Of 12 round trips at 0.4 lost each way a third comes back; all or none would be fate.
        answers = Counter(answer == "-" for answer in seen(net.client, *[two[0]] * 12))
    assert set(answers) == {True, False}


def test_only_this_machine_gets_in_and_only_by_tcp(net: NatLab) -> None:
    server = [sys.executable, "-m", "http.server", "8080"]
    with net.agent.started(*server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        fetch = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--retry-connrefused"]
        url = f"http://{net.agent.house.address}:8080/"
        here = subprocess.run([*fetch, "--retry", "20", "--retry-delay", "1", url],
                              capture_output=True, text=True)  # fmt: skip
        assert here.stdout == "200"
        assert not connects(net.client, net.agent.house.address, 8080)


def test_the_relay_listens_on_udp_tcp_and_tls(net: NatLab) -> None:
    assert seen(net.agent, f"{net.turn.address}:3478") != ["-"]
    greet = ["openssl", "s_client", "-connect", f"{net.turn.address}:5349", "-brief",
             "-verify_return_error", "-CAfile", str(net.certificates.authority)]  # fmt: skip
    assert "Verification: OK" in net.client.run(*greet, input="").stderr
    assert connects(net.client, net.turn.address, 3478)


@pytest.mark.parametrize(
    ("seconds", "password", "allowed"),
    [(60, None, True), (-60, None, False), (60, "wrong", False)],
)
def test_the_relay_takes_logins_that_have_not_ended(
    net: NatLab, seconds: float, password: str | None, allowed: bool
) -> None:
    login = net.login(seconds)
    login = replace(login, password=password or login.password)
    assert allocates(net.agent, net.turn.address, login) == allowed


def test_a_relay_may_have_one_login_for_good(net: NatLab) -> None:
    login = Login("someone", "their password")
    server, process = net.another_turn(login)
    assert allocates(net.client, server.address, login)
    assert not allocates(net.client, server.address, Login("someone", "not theirs"))
    process.kill()
    process.wait()
    assert not connects(net.client, server.address, 3478)


def test_stun_may_be_slow_or_silent(net: NatLab) -> None:
    assert seen(net.client, f"{net.nobody}:3478") == ["-"]
    with net.slow_stun(0.5) as uri:
        asked = time.monotonic()
        assert seen(net.client, uri.removeprefix("stun:")) == ["?"]
        assert time.monotonic() - asked >= 0.5


def test_several_at_once_and_nothing_stays() -> None:
    before = traces(os.getpid())
    with lab("cone", "udp-blocked") as one, lab("symmetric", "symmetric") as other:
        assert one.street.subnet != other.street.subnet
        assert seen(one.agent, f"{one.turn.address}:3478") != ["-"]
        assert seen(one.client, f"{one.turn.address}:3478") == ["-"]
        assert seen(other.agent, f"{other.turn.address}:3478") != ["-"]
        assert seen(other.client, f"{one.turn.address}:3478") == ["-"]
        left = subprocess.Popen(one.agent.argv("sleep", "60"))
    assert left.wait(5) == -9
    assert traces(os.getpid()) == before


def connects(place: Place, address: str, port: int) -> bool:
    program = f"import socket; socket.create_connection(('{address}', {port}), 0.7)"
    return place.run(sys.executable, "-c", program).returncode == 0


def allocates(place: Place, address: str, login: Login) -> bool:
    done = place.run(sys.executable, ALLOCATE, address, login.username, login.password)
    assert done.stdout.strip() in (address, "401"), done
    return done.stdout.strip() == address
