"""The agent gives Daily's WebRTC a TURN relay in an IPv6-only network like AgentCore's."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.standins.daily.ipv6_only import OWN, Ipv6Container, ipv6_container
from voicecore.catalog.transports import TRANSPORTS

AGENT = TRANSPORTS["daily"].template / "agent" / "internal"
PROGRAM = Path(__file__).parents[2] / "standins/daily/through_relay.py"
ROOM = "https://lab.daily.co/room"


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ipv6Container]:
    with ipv6_container(tmp_path_factory.mktemp("ipv6")) as inside:
        yield inside


@pytest.fixture(scope="module")
def peer(inside: Ipv6Container) -> Iterator[tuple[str, int]]:
    """An IPv4 host on the internet that answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((inside.net.public.gateway, 0))

        def answer() -> None:
            while (received := listening.recvfrom(1500))[0]:
                listening.sendto(b"yes, it is", received[1])

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield listening.getsockname()
        listening.sendto(b"", listening.getsockname())
        thread.join()


def daily(inside: Ipv6Container, *urls: str) -> list[dict[str, Any]]:
    """Return ICE servers as in Daily's answer: STUN, and these TURN URLs with credentials."""
    given = inside.net.credentials()
    login = {"username": given.username, "credential": given.password}
    return [{"urls": ["stun:turn.lab:3478"]}, {"urls": list(urls), **login}]


def through(inside: Ipv6Container, peer: tuple[str, int], room: str = ROOM) -> dict[str, Any]:
    done = inside.run(sys.executable, str(PROGRAM), str(AGENT), room, peer[0], str(peer[1]))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_network_reaches_ipv4_only_through_nat64(inside: Ipv6Container) -> None:
    def connects(family: str, address: str) -> bool:
        kind = f"socket.socket(socket.{family}, socket.SOCK_STREAM)"
        program = f"import socket; s = {kind}; s.settimeout(2); s.connect(('{address}', 3478))"
        return inside.run(sys.executable, "-c", program).returncode == 0

    assert not connects("AF_INET", inside.net.turn.address)
    assert connects("AF_INET6", inside.names["turn.lab"])


def test_allocations_and_packets_go_through_the_relay(
    inside: Ipv6Container, peer: tuple[str, int]
) -> None:
    inside.servers = daily(
        inside,
        "turn:silent.lab:3478?transport=udp",
        "turn:unknown.lab:3478?transport=udp",
        "turn:turn.lab:3478?transport=udp",
        "turn:turn.lab:3478?transport=tcp",
        "turns:turn.lab:5349?transport=tcp",
    )
    result = through(inside, peer)
    assert result["config"]["placement"] == "replace"
    [server] = result["config"]["iceServers"]
    [url] = server["urls"]
    assert url.startswith(f"turn:[{OWN}]:")
    relayed = [call["relayed"] for call in result["calls"]]
    assert {address for address, _ in relayed} == {inside.net.turn.address}
    assert len({port for _, port in relayed}) == 2
    assert [call["heard"] for call in result["calls"]] == ["yes, it is"] * 2
    assert result["elsewhere"] is False


def test_libwebrtc_connects_through_the_relay(inside: Ipv6Container, tmp_path: Path) -> None:
    """Uses Chromium's libwebrtc, whose ICE is the same as in Daily's library."""
    inside.servers = daily(inside, "turn:turn.lab:3478?transport=udp")
    browser = str(PROGRAM.with_name("browser.py"))
    done = inside.run(sys.executable, browser, str(AGENT), ROOM, str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result.get("heard") == "is this the peer?", result
    assert {line.split()[4] for line in result["found"]} == {inside.net.turn.address}


@pytest.mark.parametrize(
    ("url", "room", "why"),
    [
        ("turn:silent.lab:3478", ROOM, "no answer from Daily's TURN servers: silent.lab:3478"),
        ("turns:turn.lab:5349", ROOM, "no answer from Daily's TURN servers: none uses UDP"),
        ("turn:turn.lab:3478", f"{ROOM}-of-others", "Daily did not return its TURN servers"),
        ("turn:turn.lab:3478", "https://elsewhere.example/room", "is not a room at daily.co"),
    ],
)
def test_cause_of_no_relay_is_reported(
    inside: Ipv6Container, peer: tuple[str, int], url: str, room: str, why: str
) -> None:
    inside.servers = daily(inside, url)
    assert why in through(inside, peer, room)["no way"]


def test_network_with_ipv4_is_left_alone(inside: Ipv6Container) -> None:
    done = inside.net.agent.run(sys.executable, str(PROGRAM), str(AGENT), ROOM, "198.18.0.1", "9")
    assert json.loads(done.stdout) == {"config": None}
