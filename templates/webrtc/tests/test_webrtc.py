"""Offers that cannot become calls are refused at once, with a reason; others become one call."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

from conftest import AGENT, Agent, start, wait_until_ready
from over_webrtc import call, invoke

SESSION = "offers" * 6


def ask(agent: Agent, kind: str, data: Any) -> dict[str, Any]:
    return asyncio.run(invoke(agent.port, SESSION, kind, data))


async def an_offer(kind: str = "audio") -> dict[str, Any]:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver(kind)
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
    await peer.close()
    return offer


@pytest.mark.parametrize(
    "data",
    [
        None,
        "v=0",
        {"type": "offer"},
        {"sdp": "v=0", "type": "answer"},
        {"sdp": "garbage", "type": "offer"},
        {"sdp": "v=0\r\n" * 200_000, "type": "offer"},
        {"sdp": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "type": "offer"},
    ],
)
def test_what_is_no_offer_is_refused(agent: Agent, data: Any) -> None:
    assert ask(agent, "offer", data)["error"]["code"] == "bad_offer"
    assert agent.ping()["status"] == "Healthy"


def test_an_offer_without_sound_is_refused(agent: Agent) -> None:
    answer = ask(agent, "offer", asyncio.run(an_offer("video")))
    assert answer["error"] == {"code": "bad_offer", "message": "The offer must begin with audio."}


@pytest.mark.parametrize("data", [None, {}, {"pc_id": "unknown", "candidates": []}])
def test_candidates_for_no_connection_are_refused(agent: Agent, data: Any) -> None:
    assert ask(agent, "ice-candidates", data)["error"]["code"] == "unknown_connection"


def test_requests_of_another_kind_are_refused(agent: Agent) -> None:
    assert ask(agent, "pigeon", {})["error"]["code"] == "unknown_request"


def test_an_offer_that_comes_twice_makes_one_connection(agent: Agent) -> None:
    async def offered_twice() -> None:
        offer = await an_offer()
        asked = [invoke(agent.port, SESSION, "offer", offer) for _ in range(2)]
        first, at_once = await asyncio.gather(*asked)
        assert first == at_once == await invoke(agent.port, SESSION, "offer", offer)
        candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host"
        listed = [{"candidate": candidate, "sdp_mid": "0", "sdp_mline_index": 0}]
        known = {"pc_id": first["answer"]["pc_id"]}
        patch = await invoke(agent.port, SESSION, "ice-candidates", known | {"candidates": listed})
        assert patch == {"status": "success"}
        bad = known | {"candidates": [{"candidate": "nonsense"}]}
        refused = await invoke(agent.port, SESSION, "ice-candidates", bad)
        assert refused["error"]["code"] == "bad_candidate"

    asyncio.run(offered_twice())
    assert agent.ping()["status"] == "HealthyBusy"


def test_the_agent_is_idle_when_its_caller_has_left(agent: Agent) -> None:
    async def leave() -> None:
        async with call(agent.port, SESSION) as caller:
            assert agent.ping()["status"] == "HealthyBusy"
        await caller.until(lambda: agent.ping()["status"] == "Healthy", "idle agent")

    asyncio.run(leave())


@pytest.fixture
def in_aws(tmp_path: Path) -> Iterator[Agent]:
    """An agent that only a relay can reach, and that gets none."""
    running = start(AGENT, tmp_path / "log", {"NETWORK_MODE": "VPC", "ICE_SERVER_URLS": "stun:a"})
    try:
        wait_until_ready(running)
        yield running
    finally:
        running.process.terminate()
        running.process.communicate(timeout=20)


def test_an_agent_in_aws_without_a_relay_says_why(in_aws: Agent) -> None:
    error = ask(in_aws, "offer", asyncio.run(an_offer()))["error"]
    assert error["code"] == "no_relay"
    assert "ICE_SERVER_URLS names no turn:" in error["message"]
    assert in_aws.ping()["status"] == "Healthy"


def test_pipecat_has_no_setting_for_relays_yet() -> None:
    """Once it has, webrtc.py need not put another peer connection in the place of Pipecat's."""
    known = {"self", "ice_servers", "connection_timeout_secs"}
    assert set(inspect.signature(SmallWebRTCConnection.__init__).parameters) == known
