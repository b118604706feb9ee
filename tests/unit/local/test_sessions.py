"""Sessions of the local runtime, from their first request to their end, with a small agent."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
from botocore.exceptions import ClientError

from tests.standins.runtime.runtime_lab import REGION, RuntimeLab, new_session, runtime_lab
from voicecore.local.gateway.status import read_status


async def handshake_refusal(here: RuntimeLab, url: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with here.connect(url=url):
            pass
    return refused.value.status


@pytest.mark.parametrize(
    "platform",
    ["v1", pytest.param("v2", marks=pytest.mark.skipif(sys.platform != "linux", reason="forks"))],
)
def test_session_lives_from_its_first_request_until_it_is_stopped(
    tmp_path: Path, platform: str
) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, platform=platform) as here:
            await here.runtime.ready()
            one, other = new_session(), new_session()
            first = await here.ask(b'{"hello": 1}', one)
            assert first["payload"] == {"hello": 1}
            assert (await here.ask(session=one))["pid"] == first["pid"]
            assert (await here.ask(session=other))["pid"] != first["pid"]
            async with here.connect(one) as socket:
                await socket.send_str("pid")
                assert await socket.receive_str() == str(first["pid"])
                await socket.send_bytes(b"audio")
                assert await socket.receive_bytes() == b"audio"
                await socket.send_str("close 4001")
                closed = await socket.receive()
                assert (closed.data, closed.extra) == (4001, "as asked")
            async with here.connect(other) as socket:
                await here.stop(other)
                ended = await socket.receive()
                assert (ended.data, ended.extra) == (1001, "session ended: stopped")
            await here.until(lambda: here.sessions() == [one])
            credentials = here.runtime.settings.credentials
            status = await read_status(here.runtime.url, credentials, REGION)
            assert status
            assert [session["id"] for session in status["sessions"]] == [one]

    asyncio.run(main())


def test_requests_that_aws_would_refuse_start_no_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            forged = here.url(new_session())[:-4] + "0000"
            assert await handshake_refusal(here, forged) == 403
            unknown = here.url(new_session(), arn=f"{here.runtime.settings.arn}x")
            assert await handshake_refusal(here, unknown) in (403, 404)
            with pytest.raises(ClientError, match="not found"):
                await here.stop(new_session())
            assert here.sessions() == []

    asyncio.run(main())


def test_agent_that_dies_or_fails_is_reported_to_its_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            session = new_session()
            with pytest.raises(ClientError, match="out of luck"):
                await here.invoke(b'{"do": "die"}', session)
            await here.until(lambda: session not in here.sessions())
            with pytest.raises(ClientError):
                await here.invoke(b'{"do": "fail"}')
            streamed = await here.invoke(b'{"do": "stream", "events": 2}')
            body = await asyncio.to_thread(streamed["response"].read)
            assert body == b"data: 0\n\ndata: 1\n\n"

    asyncio.run(main())


def test_agent_that_does_not_start_fails_its_callers(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "crash") as here:
            with pytest.raises(Exception, match="a_module_that_is_not_there"):
                await here.runtime.ready()
            with pytest.raises(ClientError, match="a_module_that_is_not_there"):
                await here.invoke()
            assert here.sessions() == []

    asyncio.run(main())
