"""The gateway accepts what AWS accepts, and refuses the rest with the same errors."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import yarl
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.standins.runtime.runtime_lab import (
    ARN,
    REGION,
    SESSION,
    RuntimeLab,
    new_session,
    runtime_lab,
)
from voicecore.local.gateway.sigv4 import make_credentials
from voicecore.local.gateway.status import read_status
from voicecore.talk.target import trouble_of


async def json_of(answer: Any) -> Any:
    return json.loads(await asyncio.to_thread(answer["response"].read))


async def refused_handshake(lab: RuntimeLab, url: str, status: int) -> dict[str, str]:
    """Check the status of a refused WebSocket handshake, and return its type, text and hint."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        async with lab.connect(url=url):
            pass
    assert error.value.status == status
    assert error.value.headers
    event = next(event for event in reversed(lab.events) if event.kind == "refused")
    return {
        "type": error.value.headers["x-amzn-ErrorType"],
        "text": event.text,
        "hint": event.hint or "",
    }


def test_unmodified_boto3_invokes_and_stops_sessions(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(
            tmp_path, allowlist=("X-Amzn-Bedrock-AgentCore-Runtime-Custom-Tenant",)
        ) as here:
            session = new_session()
            first = await here.invoke(b'{"hello": "w\xc3\xb6rld"}', session, qualifier="DEFAULT")
            assert first["statusCode"] == 200
            assert first["runtimeSessionId"] == session
            assert first["contentType"].startswith("application/json")
            echo = await json_of(first)
            assert echo["payload"] == {"hello": "wörld"}
            assert echo["headers"][SESSION.lower()] == session
            assert "authorization" not in echo["headers"]
            assert "x-amz-date" not in echo["headers"]

            again = await json_of(await here.invoke(b"{}", session))
            other = await json_of(await here.invoke(b"{}"))
            assert again["pid"] == echo["pid"] != other["pid"]

            streamed = await here.invoke(b'{"do": "stream", "events": 3, "pause": 0.05}', session)
            assert streamed["contentType"] == "text/event-stream"
            lines = await asyncio.to_thread(lambda: list(streamed["response"].iter_lines()))
            assert [line for line in lines if line] == [b"data: 0", b"data: 1", b"data: 2"]

            await here.stop(session)
            await here.until(lambda: session not in here.sessions())
            new = await json_of(await here.invoke(b"{}", session))
            assert new["pid"] != echo["pid"]

    asyncio.run(main())


def test_reason_of_a_refusal_is_told_in_its_own_session_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            dead, other = new_session(), new_session()
            with pytest.raises(ClientError):
                await here.invoke(b'{"do": "die"}', dead)
            troubles = here.runtime.snapshot().document()["troubles"]
            own = trouble_of(dead, troubles)
            assert own and own["session_id"] == dead
            assert trouble_of(other, troubles) is None
            assert trouble_of("", troubles) is None
            everyone = {"session_id": None, "text": "does not start", "hint": None}
            assert trouble_of(other, [everyone, *troubles]) == everyone

    asyncio.run(main())


def test_boto3_raises_the_exceptions_of_aws(tmp_path: Path) -> None:
    async def refused(here: RuntimeLab, kind: str, status: int, call: Any, words: str) -> None:
        with pytest.raises(ClientError) as error:
            await asyncio.to_thread(call)
        answer: Any = error.value.response
        assert (type(error.value).__name__, answer["ResponseMetadata"]["HTTPStatusCode"]) == (
            kind,
            status,
        )
        assert words in answer["Error"]["Message"]

    async def main() -> None:
        async with runtime_lab(tmp_path, sessions_max=2) as here:
            client = here.boto3()

            def invoke(payload: bytes = b"{}", arn: str = ARN, client: Any = client, **more: Any):
                return lambda: client.invoke_agent_runtime(
                    agentRuntimeArn=arn, payload=payload, **more
                )

            def failing(session: str):
                return invoke(b'{"do": "fail"}', runtimeSessionId=session)

            def dying(session: str):
                return invoke(b'{"do": "die"}', runtimeSessionId=session)

            def stop(session: str):
                return lambda: client.stop_runtime_session(
                    agentRuntimeArn=ARN, runtimeSessionId=session
                )

            one, two = new_session(), new_session()
            wrong = make_credentials()
            stranger = here.boto3(
                aws_access_key_id=wrong.access_key_id, aws_secret_access_key=wrong.secret_access_key
            )
            elsewhere = here.boto3(region_name="eu-west-1")
            tokened = here.boto3(aws_session_token="left over")
            denied = ("AccessDeniedException", 403)
            await refused(here, *denied, invoke(client=stranger), "security token")
            await refused(here, *denied, invoke(client=elsewhere), "scoped to us-east-1")
            await refused(here, *denied, invoke(client=tokened), "security token")
            missing = ("ResourceNotFoundException", 404)
            await refused(here, *missing, invoke(arn=ARN.replace("my_", "no_")), "No endpoint")
            await refused(here, *missing, invoke(qualifier="prod"), "qualifier prod")
            bad = ("ValidationException", 400)
            await refused(here, *bad, invoke(runtimeSessionId="ä" * 40), "must match")
            await refused(here, *bad, invoke(runtimeSessionId="a" * 257), "257 characters")
            await refused(here, *bad, invoke(runtimeUserId="u" * 1025), "user-id")
            failed = ("RuntimeClientError", 424)
            await refused(
                here, *failed, invoke(b'{"do": "fail"}', runtimeSessionId=one), "error (500)"
            )
            await refused(
                here, *failed, invoke(b'{"do": "die"}', runtimeSessionId=two), "out of luck"
            )
            await here.until(lambda: two not in here.sessions())
            await asyncio.to_thread(invoke(runtimeSessionId=two))
            quota = ("ServiceQuotaExceededException", 402)
            await refused(here, *quota, invoke(), "maxVms limit exceeded")
            await refused(here, *missing, stop("n" * 36), "not found")

    asyncio.run(main())


def test_handshakes_are_refused_as_by_aws(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            good = here.url(new_session())
            unsigned = good.split("&X-Amz-Algorithm")[0]
            for url in (unsigned, good + "&more=1", good[:-1] + ("0" if good[-1] != "0" else "1")):
                answer = await refused_handshake(here, url, 403)
                assert answer["type"] == "AccessDeniedException"
                assert answer["hint"]
            short = await refused_handshake(here, here.url("a" * 32), 400)
            assert "32 characters" in short["text"]
            assert "uuid4().hex has 32" in short["hint"]
            await refused_handshake(here, here.url(new_session(), arn=ARN + "x"), 404)
            await refused_handshake(here, here.url(new_session(), "qualifier=prod"), 404)
            wrong = await refused_handshake(here, f"ws{here.runtime.url[4:]}/ws", 401)
            assert "Missing Authentication Token" in wrong["text"]
            assert here.sessions() == []

    asyncio.run(main())


def test_plain_http_is_refused_on_ws(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here, aiohttp.ClientSession() as http:
            url = yarl.URL(here.url(new_session()).replace("ws", "http", 1), encoded=True)
            async with http.get(url) as answer:
                document = await answer.json()
                assert answer.status == 400
                assert document["message"] == "Not a WebSocket Upgrade Request"
                assert document["hint"]

    asyncio.run(main())


def test_status_needs_the_credentials_of_the_run(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here, aiohttp.ClientSession() as http:
            session = new_session()
            async with here.connect(session) as socket:
                await socket.send_str("say my number is 4111")
                await socket.receive()
                await here.until(lambda: "my number is 4111" in here.texts("log"))
                url = f"{here.runtime.url}/_voicecore/status"
                wrong = Credentials(here.runtime.settings.credentials.access_key_id, "wrong")
                signed = AWSRequest("GET", url=url)
                SigV4Auth(wrong, "bedrock-agentcore", REGION).add_auth(signed)
                for headers in ({}, {"Host": "attacker.example"}, dict(signed.headers.items())):
                    async with http.get(url, headers=headers) as answer:
                        text = await answer.text()
                        assert answer.status == 403
                        assert session not in text and "4111" not in text
                pair = here.runtime.settings.credentials
                status = await read_status(here.runtime.url, pair, REGION)
                assert status is not None
                assert (status["arn"], status["project"]) == (ARN, str(tmp_path))
                assert "my number is 4111" in [line["text"] for line in status["lines"]]

    asyncio.run(main())


def test_url_signed_for_the_gateway_is_refused_under_another_host(tmp_path: Path) -> None:
    """A web page whose name resolves to 127.0.0.1 (DNS rebinding) sends its own Host."""

    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            url = here.url(new_session())
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with here.connect(url=url, headers={"Host": "attacker.example"}):
                    pass
            assert refused.value.status == 403

    asyncio.run(main())


@pytest.mark.parametrize("path", [f"/runtimes/{quote(ARN, safe='')}/invocations", "/upload"])
def test_body_of_an_unsigned_request_is_not_read(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            port = here.runtime.settings.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 90000000"
            writer.write(f"{head}\r\n\r\n".encode())
            async with asyncio.timeout(20):  # the body never comes
                answer = await reader.readline()
            assert answer.split()[1] in (b"401", b"403")
            writer.close()

    asyncio.run(main())


def test_websocket_carries_headers_session_and_frames(tmp_path: Path) -> None:
    custom = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-"

    async def main() -> None:
        async with runtime_lab(tmp_path, allowlist=(f"{custom}Tenant", "X-Colour")) as here:
            session = new_session()
            query = f"qualifier=DEFAULT&{custom}Tenant=a%20b&{custom}Other=no"
            headers = {"Origin": "https://page.example", "Cookie": "a=b", "X-Colour": "red"}
            async with here.connect(url=here.url(session, query), headers=headers) as socket:
                await socket.send_str("headers")
                seen = json.loads(await socket.receive_str())
                assert seen[SESSION.lower()] == session
                assert seen[f"{custom}Tenant".lower()] == "a b"
                assert seen["x-colour"] == "red"
                assert not {"origin", "cookie", f"{custom}Other".lower()} & seen.keys()
                for size in (0, 1, 640, 65_536):
                    await socket.send_bytes(bytes(size))
                    assert len(await socket.receive_bytes()) == size
                await socket.send_str("say größe")
                assert await socket.receive_str() == "größe"
                await socket.send_str("pid")
                pid = await socket.receive_str()
            async with here.connect(session) as socket:
                await socket.send_str("pid")
                assert await socket.receive_str() == pid
            async with here.connect(url=here.url(None)) as socket:
                generated = socket._response.headers[SESSION]
                assert 33 <= len(generated) <= 100
                assert generated in here.sessions()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("close 1000", 1000, "as asked"),
        ("close 4003", 4003, "as asked"),
        ("big 65536", None, ""),
        ("big 65537", 1009, "agent sent a frame"),
        ("die", 1011, ""),
    ],
)
def test_close_code_of_the_agent_reaches_the_client(
    tmp_path: Path, command: str, code: int | None, words: str
) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here, here.connect() as socket:
            await socket.send_str(command)
            answer = await socket.receive()
            if code is None:
                assert len(answer.data) == 65_536
            else:
                assert (answer.type, answer.data) == (aiohttp.WSMsgType.CLOSE, code)
                assert words in str(answer.extra)

    asyncio.run(main())


def test_frames_beyond_the_limits_close_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            session = new_session()
            async with here.connect(session) as socket:
                await socket.send_bytes(bytes(65 * 1024))
                answer = await socket.receive()
                assert answer.data == 1009
            async with here.connect(session) as socket:
                for _ in range(2000):  # the limit of eight seconds, all at once
                    await socket.send_bytes(b"x")
                answer = await socket.receive()
                while answer.type is aiohttp.WSMsgType.BINARY:
                    answer = await socket.receive()
                assert (answer.data, "250 frames/s" in str(answer.extra)) == (1008, True)
            await here.until(lambda: len(here.texts("refused")) == 2)
            assert "Send audio in frames of 20 to 40 ms." in [event.hint for event in here.events]

    asyncio.run(main())


def test_agent_that_refuses_ws_is_424(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "no-ws") as here:
            answer = await refused_handshake(here, here.url(new_session()), 424)
            assert answer["type"] == "RuntimeClientError"
            assert "error (403)" in answer["text"]

    asyncio.run(main())


def test_client_that_does_not_read_stops_its_agent(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            session = new_session()
            async with here.connect(session) as socket:
                connection = socket._response.connection
                assert connection and connection.transport
                transport = connection.transport
                await socket.send_str("flood 400")
                transport.pause_reading()
                sent = 0
                while not 0 < sent == len(here.texts("log")):  # until the agent has stopped
                    sent = len(here.texts("log"))
                    await asyncio.sleep(0.5)
                # Of 400 frames of 60 KB, only those that fit the kernel's buffers.
                assert sent < 250
                transport.resume_reading()

    asyncio.run(main())


def test_caller_may_leave_while_the_agent_connects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, "slow-ws") as here:
            session = new_session()
            calling = asyncio.create_task(here.connect(session).__aenter__())
            await here.until(lambda: "slowly" in here.texts("log"))
            calling.cancel()
            await asyncio.wait([calling])
            await here.stop(session)
            await here.until(lambda: here.sessions() == [])

    asyncio.run(main())
    assert [record.message for record in caplog.records if record.name == "aiohttp.server"] == []
