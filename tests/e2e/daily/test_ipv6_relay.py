"""Daily's WebRTC gets its TURN relays out of a network like AgentCore's, where libwebrtc cannot."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.standins.daily.ipv6_only import OWN, Container, container
from voicecore.catalog.transports import TRANSPORTS

AGENT = TRANSPORTS["daily"].template / "agent" / "internal"
PROGRAM = Path(__file__).parents[2] / "standins/daily/through_relay.py"
ROOM = "https://lab.daily.co/room"


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with container(tmp_path_factory.mktemp("ipv6")) as inside:
        yield inside


@pytest.fixture(scope="module")
def peer(inside: Container) -> Iterator[tuple[str, int]]:
    """Somebody on the internet, by IPv4, who answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((inside.net.street.here, 0))

        def answer() -> None:
            while (come := listening.recvfrom(1500))[0]:
                listening.sendto(b"yes, it is", come[1])

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield listening.getsockname()
        listening.sendto(b"", listening.getsockname())
        thread.join()


def daily(inside: Container, *urls: str) -> list[dict[str, Any]]:
    """ICE servers as Daily tells of them: STUN, and these URLs of TURN with a login."""
    login = inside.net.login()
    named = {"username": login.username, "credential": login.password}
    return [{"urls": ["stun:turn.lab:3478"]}, {"urls": list(urls), **named}]


def through(inside: Container, peer: tuple[str, int], room: str = ROOM) -> dict[str, Any]:
    done = inside.run(sys.executable, str(PROGRAM), str(AGENT), room, peer[0], str(peer[1]))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_network_is_what_it_should_be(inside: Container) -> None:
    def connects(family: str, address: str) -> bool:
        kind = f"socket.socket(socket.{family}, socket.SOCK_STREAM)"
        program = f"import socket; s = {kind}; s.settimeout(2); s.connect(('{address}', 3478))"
        return inside.run(sys.executable, "-c", program).returncode == 0

    assert not connects("AF_INET", inside.net.turn.address)
    assert connects("AF_INET6", inside.names["turn.lab"])


def test_allocations_and_sound_go_through_the_relay(
    inside: Container, peer: tuple[str, int]
) -> None:
    inside.servers = daily(
        inside,
        "turn:nobody.lab:3478?transport=udp",
        "turn:unknown.lab:3478?transport=udp",
        "turn:turn.lab:3478?transport=udp",
        "turn:turn.lab:3478?transport=tcp",
        "turns:turn.lab:5349?transport=tcp",
    )
    made = through(inside, peer)
    assert made["config"]["placement"] == "replace"
    [server] = made["config"]["iceServers"]
    [url] = server["urls"]
    assert url.startswith(f"turn:[{OWN}]:")
    relayed = [call["relayed"] for call in made["calls"]]
    assert {address for address, _ in relayed} == {inside.net.turn.address}
    assert len({port for _, port in relayed}) == 2
    assert [call["heard"] for call in made["calls"]] == ["yes, it is"] * 2
    assert made["elsewhere"] is False


def test_a_real_libwebrtc_calls_by_it(inside: Container, tmp_path: Path) -> None:
    """Chromium's, which is the same as that in Daily's library, as far as ICE goes."""
    inside.servers = daily(inside, "turn:turn.lab:3478?transport=udp")
    browser = str(PROGRAM.with_name("browser.py"))
    done = inside.run(sys.executable, browser, str(AGENT), ROOM, str(tmp_path))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.get("heard") == "is this the peer?", said
    assert {line.split()[4] for line in said["found"]} == {inside.net.turn.address}


@pytest.mark.parametrize(
    ("url", "room", "why"),
    [
        ("turn:nobody.lab:3478", ROOM, "no answer from Daily's TURN servers: nobody.lab:3478"),
        ("turns:turn.lab:5349", ROOM, "none uses UDP"),
        ("turn:turn.lab:3478", f"{ROOM}-of-others", "did not return its TURN servers"),
        ("turn:turn.lab:3478", "https://elsewhere.example/room", "is not a room at daily.co"),
    ],
)
def test_what_is_in_the_way_is_told(
    inside: Container, peer: tuple[str, int], url: str, room: str, why: str
) -> None:
    inside.servers = daily(inside, url)
    assert why in through(inside, peer, room)["no way"]


def test_elsewhere_nothing_is_done(inside: Container) -> None:
    done = inside.net.agent.run(sys.executable, str(PROGRAM), str(AGENT), ROOM, "198.18.0.1", "9")
    assert json.loads(done.stdout) == {"config": None}
