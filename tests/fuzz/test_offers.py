"""Whatever a caller offers, the agent answers it or says why not, and takes the next call."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from tests.fuzz.rounds import rounds
from tests.generated.projects import Kind, Running, rendered, running_agent
from tests.requirements import require
from voicecore.local.processes import venv
from voicecore.scaffold.render import write_new

pytestmark = pytest.mark.slow

AT_ONCE = 5
MEGABYTES = 150
"""For connections that end 20 s after their offers, and for the models of the next call."""
LINES = (
    "a=candidate:1 1 udp 1 999.1.1.1 9 typ host", "a=candidate:x", "a=fingerprint:sha-256 ZZ",
    "a=candidate:1 1 tcp 1 10.0.0.1 22 typ host", "a=setup:holdconn", "a=ice-ufrag:", "a=mid:0",
    "m=application 9 DTLS/SCTP 5000", "a=rtpmap:999 x/y", "a=fmtp:111 x", "a=extmap:1", "a=ssrc:1",
    "a=group:BUNDLE 9 9 9", "c=IN IP6 ::1", "a=ssrc-group:FID 1 2 3", "a=sctpmap:1", "a=rtcp:",
)  # fmt: skip
TEXTS = ("", "99999999999999999999", "-1", "\0", " ", "é", "\ud800", ":", "/")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    require("Python 3.13")
    project = tmp_path / "support-line"
    write_new(rendered(Kind("webrtc", "offline")), project)
    venv.sync((project / "agent",), os.environ)
    with running_agent(project / "agent", tmp_path / "log") as agent:
        agent.wait_for("ready")
        yield agent


def test_offers(agent: Running) -> None:
    asyncio.run(attack(agent))


async def attack(agent: Running) -> None:
    valid, megabytes = await valid_offer(), 0.0
    async with aiohttp.ClientSession(f"http://127.0.0.1:{agent.port}") as client:
        for seed, random in rounds():
            offers = [altered(valid, random) for _ in range(AT_ONCE)]
            answers = await asyncio.gather(*(ask(client, offer) for offer in offers))
            for offer, answer in zip(offers, answers, strict=True):
                code = answer.get("error", {}).get("code")
                assert "answer" in answer or code == "bad_offer", (seed, offer, answer)
            megabytes = megabytes or agent_megabytes(agent)
        assert "answer" in await ask(client, valid)
        async with client.get("/ping") as answer:
            assert answer.status == 200
    assert agent_megabytes(agent) - megabytes < MEGABYTES


async def valid_offer() -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio")
    peer.addTransceiver("video")
    peer.createDataChannel("chat")
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    await peer.close()
    return offer


def altered(offer: str, random: Random) -> str:
    """Return the offer with a few lines removed, repeated, cut, moved, changed or added."""
    lines = offer.split("\r\n")
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(lines))
        match random.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, random.choice(lines))
            case 2:
                lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
            case 3:
                lines[at] = lines[at].replace(random.choice("0123456789 :/"), random.choice(TEXTS))
            case 4:
                random.shuffle(lines)
            case _:
                lines.insert(at, random.choice(LINES) * random.choice((1, 1, 50)))
    return "\r\n".join(lines)


async def ask(client: aiohttp.ClientSession, sdp: str) -> dict[str, Any]:
    """Return the agent's answer to an offer."""
    document = json.dumps({"type": "offer", "data": {"sdp": sdp, "type": "offer"}})
    headers = {
        "Content-Type": "application/json",
        "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "offers" * 6,
    }
    async with client.post("/invocations", data=document, headers=headers) as answer:
        assert answer.status == 200, (sdp, await answer.text())
        return await answer.json()


def agent_megabytes(agent: Running) -> float:
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
