"""Agents without a session server of ours: how each is found, and how its sessions are reached."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.conftest import Voicecore
from tests.standins import site
from tests.standins.runtime.runtime_lab import ARN, REGION, runtime_lab
from voicecore.aws.login import AwsLogin
from voicecore.aws.runtime_sessions import SESSION_HEADER, address_in, sessions_in
from voicecore.commands.talk_flags import BadFlags, check_direct
from voicecore.options.talk import TalkOptions
from voicecore.talk.agents.identify import (
    BareAgent,
    Found,
    PipecatRunner,
    Probe,
    SessionServer,
    identify,
    what_answers,
)
from voicecore.talk.agents.reach import NotSpoken, runner_transport
from voicecore.talk.agents.runner import Runner
from voicecore.talk.agents.runtime import BadArn, SignedRuntime, read_arn
from voicecore.talk.agents.source import OpenSocket
from voicecore.talk.session_client import OfferRefused, ServerUnreachable, SessionRefused

NOTHING = Probe(404, {})
RUNTIME = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/line-abcdefghij"


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"config": Probe(200, {"project": "line", "transports": ["webrtc"]})}, SessionServer()),
        ({"status": Probe(200, {"status": "ready", "transports": ["webrtc"]})},
         PipecatRunner(("webrtc",))),
        ({"offer": Probe(405, {})}, PipecatRunner()),
        ({"ping": Probe(200, {"status": "Healthy"})}, BareAgent()),
        ({"ping": Probe(200, {"status": "ok"})}, BareAgent()),
        ({"ping": Probe(200, {"detail": "<html>"})}, SessionServer()),
        ({}, SessionServer()),
    ],
)  # fmt: skip
def test_recognizes_what_answers(answers: dict[str, Probe], found: Found) -> None:
    nothing = dict.fromkeys(("config", "status", "ping", "offer"), NOTHING)
    assert what_answers(**(nothing | answers)) == found


def test_url_without_a_server_is_told() -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as http:
            await identify(http, "http://127.0.0.1:9")

    with pytest.raises(ServerUnreachable, match=r"Nothing answers at http://127.0.0.1:9"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [((), "webrtc"), (("daily", "websocket"), "websocket"), (("websocket", "webrtc"), "webrtc")],
)
def test_transport_of_a_runner_is_one_that_it_lists(listed: tuple[str, ...], chosen: str) -> None:
    assert runner_transport("http://bot", listed) == chosen


def test_runner_for_phones_only_is_told() -> None:
    with pytest.raises(NotSpoken, match="takes twilio"):
        runner_transport("http://bot", ("twilio",))
    with pytest.raises(NotSpoken, match="takes webrtc, daily"):
        runner_transport("http://bot", ("webrtc", "daily"), "daily")


# A runtime's ARN


@pytest.mark.parametrize(
    ("arn", "endpoint"),
    [(RUNTIME, None), (f"{RUNTIME}/runtime-endpoint/prod", "prod")],
)
def test_arn_names_runtime_and_endpoint(arn: str, endpoint: str | None) -> None:
    read = read_arn(arn)
    assert (read.text, read.region, read.endpoint) == (RUNTIME, "us-east-1", endpoint)


@pytest.mark.parametrize("arn", ["", "line", "arn:aws:s3:::bucket", RUNTIME + "/x", RUNTIME[:-20]])
def test_other_arns_are_refused(arn: str) -> None:
    with pytest.raises(BadArn):
        read_arn(arn)


def test_runtime_accepts_signed_urls_and_stops_its_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path) as here:
            pair = here.runtime.settings.credentials
            monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", here.runtime.url)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", pair.access_key_id)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", pair.secret_access_key)
            monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
            aws = await asyncio.to_thread(AwsLogin().open, REGION)
            source = SignedRuntime(sessions_in(aws, ARN, "DEFAULT"), "voicecore talk")
            session = await source.start()
            url = URL(session.ws_url, encoded=True)
            async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
                await socket.send_bytes(b"\0" * 640)
                assert await socket.receive_bytes() == b"\0" * 640
            assert here.sessions() == [session.id]
            assert (await source.resume(session)).id == session.id
            await source.stop(session)
            await source.stop(session)  # one that has ended, or is being ended, is not an error

    asyncio.run(main())


# Pipecat's runner


async def with_runner(start: web.Response, test: Any, starts: bool = True) -> list[dict[str, Any]]:
    """Run the test with a runner that answers /start so; return the bodies it was sent."""
    sent: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append({"path": request.path, **await request.json()})
        if request.path == "/start":
            return start
        return web.json_response({"sdp": "v=0", "type": "answer", "pc_id": "1"})

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    served = await site.started(app)
    try:
        async with aiohttp.ClientSession() as http:
            await test(Runner(http, served.url, "webrtc", starts), served)
    finally:
        await served.stop()
    return sent


def test_runner_gives_a_session_and_answers_its_offer() -> None:
    async def test(runner: Runner, _: object) -> None:
        session = await runner.start()
        assert (await runner.offer(session, {"sdp": "v=0"}))["pc_id"] == "1"

    sent = asyncio.run(with_runner(web.json_response({"sessionId": "s-1", "wsUrl": None}), test))
    assert sent == [
        {"path": "/start", "transport": "webrtc"},
        {"path": "/sessions/s-1/api/offer", "sdp": "v=0"},
    ]


def test_older_runner_gets_the_offer_alone() -> None:
    async def test(runner: Runner, _: object) -> None:
        await runner.offer(await runner.start(), {"sdp": "v=0"})

    sent = asyncio.run(with_runner(web.Response(status=404), test, starts=False))
    assert [each["path"] for each in sent] == ["/api/offer"]


def test_socket_of_a_runner_is_reached_where_the_runner_is() -> None:
    async def test(runner: Runner, served: Any) -> None:
        session = await runner.start()
        assert session.ws_url == f"ws://127.0.0.1:{served.port}/ws-client?token=a%2Bb"

    answer = {"sessionId": "s", "wsUrl": "wss://0.0.0.0:7860/ws-client", "token": "a+b"}
    asyncio.run(with_runner(web.json_response(answer), test))


def test_refusals_of_a_runner_are_told() -> None:
    async def test(runner: Runner, _: object) -> None:
        with pytest.raises(SessionRefused, match="only for phones"):
            await runner.start()

    body = json.dumps({"detail": "only for phones"})
    asyncio.run(with_runner(web.Response(status=400, text=body), test))
    assert "refused" in OfferRefused(400, {"detail": "no"}).message


# Flags


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--url", "ws://a", "--protocol", "grpc"), "not one of pipecat"),
        (("--url", "ws://a", "--protocol", "pcm", "--text"), "carries sound only"),
        (("--url", "ws://a", "--transport", "webrtc"), "over websocket, not webrtc"),
        (("--arn", RUNTIME, "--transport", "webrtc"), "--remote --arn"),
        (("--url", "http://a", "--arn", RUNTIME), "choose one"),
        (("--url", "ws://a", "--phone", "twilio"), "http:// or https://"),
        (("--url", "localhost:7860"), "voicecore talk --url http://localhost:7860"),
        (("--arn", "arn:aws:s3:::bucket"), "is not the ARN of an AgentCore runtime"),
    ],
)
def test_flags_that_contradict_each_other_are_told(
    voicecore: Voicecore, flags: tuple[str, ...], told: str
) -> None:
    result = voicecore("talk", *flags)
    assert result.code == 2
    assert told in result.stderr.replace("\n", " ")


def test_protocol_is_for_agents_of_others() -> None:
    options = TalkOptions(protocol="pcm")
    with pytest.raises(BadFlags, match="--url or --arn"):
        check_direct(options, serverless=False)
    check_direct(options, serverless=True)


def test_token_is_for_agents_of_others() -> None:
    with pytest.raises(BadFlags, match="--token-env is for agents of others"):
        check_direct(TalkOptions(token_env="TOKEN"), serverless=False)
    check_direct(TalkOptions(token_env="TOKEN"), serverless=True)
    check_direct(TalkOptions(token_env="TOKEN", arn=RUNTIME), serverless=False)


def test_variable_without_a_token_is_named(voicecore: Voicecore) -> None:
    result = voicecore("talk", "--arn", RUNTIME, "--text", "--token-env", "MY_TOKEN")
    assert result.code == 1
    assert "MY_TOKEN is not in the environment" in result.stderr


def test_token_opens_the_socket_and_is_shown_nowhere() -> None:
    async def seen(token: str) -> str:
        source = OpenSocket("ws://127.0.0.1/ws", token)
        session = await source.start()
        assert token not in repr(session)
        return session.headers["Authorization"]

    assert asyncio.run(seen("t0k")) == "Bearer t0k"


def test_runtime_of_a_region_is_addressed_without_credentials() -> None:
    arn = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/a-1"
    url = urlsplit(address_in("us-west-2", arn, "prod").url("ws", "s" * 33))
    assert url.netloc == "bedrock-agentcore.us-west-2.amazonaws.com"
    assert url.path == f"/runtimes/{quote(arn, safe='')}/ws"
    assert parse_qs(url.query) == {"qualifier": ["prod"], SESSION_HEADER: ["s" * 33]}
