"""Use the agent's relay as libwebrtc does: allocate, and send to a peer. Prints JSON.

Runs inside a namespace: python through_relay.py AGENT ROOM_URL PEER_HOST PEER_PORT
"""

import asyncio
import json
import socket
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from aioice.turn import create_turn_endpoint

sys.path.insert(0, sys.argv[1])
ipv6_relay = import_module("ipv6_relay")  # in the folder of the first argument

TIMEOUT = 60


class Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.heard.done():
            self.heard.set_result(data)


async def allocate(server: dict[str, Any], peer: tuple[str, int]) -> dict[str, Any]:
    address = urlsplit("//" + server["urls"][0].split(":", 1)[1])
    where = (str(address.hostname), int(address.port or 0))
    transport, receiver = await create_turn_endpoint(
        Receiver, where, server["username"], server["credential"]
    )
    relayed = transport.get_extra_info("sockname")
    transport.sendto(b"is this the peer?", peer)
    async with asyncio.timeout(TIMEOUT):
        answer = await receiver.heard
    return {"relayed": relayed, "heard": answer.decode(), "by": where}


def answers_from_elsewhere(port: int) -> bool:
    """Return whether the relay serves a sender with another address than the container's."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(0.5)
        stranger.bind(("::1", 0))
        own = ipv6_relay.own_address(ipv6_relay.ADDRESSES.read_text())
        stranger.sendto(ipv6_relay.ALLOCATE + bytes(12) + ipv6_relay.FOR_UDP, (own, port))
        try:
            return bool(stranger.recv(1500))
        except TimeoutError:
            return False


async def main(room: str, host: str, port: str) -> None:
    peer = (host, int(port))
    try:
        async with ipv6_relay.ice_config(room) as config:
            if config is None:
                print(json.dumps({"config": None}))
                return
            # Two sockets with an allocation each, as in libwebrtc.
            server = config["iceServers"][0]
            calls = await asyncio.gather(*(allocate(server, peer) for _ in range(2)))
            elsewhere = await asyncio.to_thread(answers_from_elsewhere, calls[0]["by"][1])
            print(json.dumps({"config": config, "calls": calls, "elsewhere": elsewhere}))
    except ipv6_relay.NoTurnServer as error:
        print(json.dumps({"no way": str(error)}))


asyncio.run(main(*sys.argv[2:]))
