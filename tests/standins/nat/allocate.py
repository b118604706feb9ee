"""Create a TURN allocation over UDP, and print the relayed address or the server's error code.

Runs inside a namespace: python allocate.py HOST USERNAME PASSWORD
"""

import asyncio
import sys

from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint


async def main(host: str, username: str, password: str) -> None:
    try:
        transport, _ = await create_turn_endpoint(
            asyncio.DatagramProtocol, (host, 3478), username, password
        )
    except TransactionFailed as error:
        print(error.response.attributes["ERROR-CODE"][0])
    else:
        print(transport.get_extra_info("sockname")[0])


asyncio.run(main(*sys.argv[1:]))
