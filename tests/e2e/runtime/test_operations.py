"""What foreign clients and agents need of the gateway: commands, agent cards, tokens, laxity."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from botocore.exceptions import ClientError

from tests.server.test_jwt import AUDIENCE, issuing
from tests.standins.runtime.runtime_lab import (
    ARN,
    REGION,
    SESSION,
    RuntimeLab,
    alive,
    connect,
    new_session,
    runtime_lab,
)
from voicecore.aws.runtime_sessions import RuntimeAddress
from voicecore.local.gateway.jwt_authorizer import SUBPROTOCOL, JwtAuthorizer
from voicecore.talk.agents.bearer import BearerRuntime
from voicecore.talk.session_client import SessionRefused


def run_command(here: RuntimeLab, session: str, text: str, **more: Any) -> list[dict[str, Any]]:
    """Return the events of a command that boto3 runs."""
    answer = here.boto3().invoke_agent_runtime_command(
        agentRuntimeArn=ARN, runtimeSessionId=session, body={"command": text, **more}
    )
    assert answer["runtimeSessionId"] == session
    return [event["chunk"] for event in answer["stream"]]


def said(events: list[dict[str, Any]], name: str) -> str:
    return "".join(event.get("contentDelta", {}).get(name, "") for event in events)


def test_commands_run_beside_the_agent_of_their_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, time_scale=10) as here:
            session = new_session()
            text = "echo $MODE in $(basename $PWD); ls; echo wrong >&2; exit 3"
            events = await asyncio.to_thread(run_command, here, session, text)
            assert events[0] == {"contentStart": {}}
            assert said(events, "stdout") == "in agent\napp.py\n"
            assert said(events, "stderr") == "wrong\n"
            assert events[-1] == {"contentStop": {"exitCode": 3, "status": "COMPLETED"}}
            assert here.sessions() == [session]

            events = await asyncio.to_thread(
                run_command, here, session, "echo $$; sleep 600", timeout=5
            )
            assert events[-1] == {"contentStop": {"exitCode": -1, "status": "TIMED_OUT"}}
            pid = int(said(events, "stdout"))
            assert await here.wait(lambda: not alive(pid), 5)

            with pytest.raises(ClientError, match="timeout"):
                await asyncio.to_thread(run_command, here, session, "ls", timeout=0)

            begun = tmp_path / "begun"
            running = asyncio.create_task(
                asyncio.to_thread(run_command, here, session, f"echo $$; touch {begun}; sleep 6000")
            )
            assert await here.wait(begun.exists, 60)
            await here.stop(session)
            pid = int(said(await asyncio.wait_for(running, 600), "stdout"))
            assert await here.wait(lambda: not alive(pid), 5)

    asyncio.run(main())


def test_agent_with_an_undocumented_ping_serves_with_a_warning(tmp_path: Path) -> None:
    async def main() -> None:
        async with runtime_lab(tmp_path, mode="healthy") as here:
            client, session = here.boto3(), new_session()
            answer = await asyncio.to_thread(
                lambda: client.get_agent_card(agentRuntimeArn=ARN, runtimeSessionId=session)
            )
            assert answer["agentCard"] == {"name": "my agent"}
            assert (answer["runtimeSessionId"], answer["statusCode"]) == (session, 200)
            said = 'answers {"status": "healthy"}, which AWS'
            await here.until(lambda: any(said in text for text in here.texts("advice")))

    asyncio.run(main())


def test_undocumented_requests_pass_with_a_warning_unless_strict(tmp_path: Path) -> None:
    async def main(strict: bool) -> RuntimeLab:
        async with runtime_lab(tmp_path, strict=strict) as here:
            unencoded = here.url(new_session(), encoded=ARN)
            beside = {"url": here.url(None), "headers": {SESSION: new_session()}}
            for _ in range(2):
                for doubtful in ({"url": unencoded}, beside, {"session": "s" * 256}):
                    refused = False
                    try:
                        async with here.connect(**doubtful) as socket:
                            await socket.send_bytes(b"1")
                            assert (await socket.receive()).data == b"1"
                    except aiohttp.WSServerHandshakeError:
                        refused = True
                    assert refused == strict
            return here

    lax = asyncio.run(main(False))
    shown = " ".join(line.text for line in lax.runtime.snapshot().lines)
    assert "! AWS may refuse this" in shown  # on the live screen, too
    advice = lax.texts("advice")
    warned = [text for text in advice if text.startswith("AWS may refuse this, and --strict does")]
    assert len(warned) == 3, warned
    assert len(asyncio.run(main(True)).texts("refused")) == 6


def test_runtime_with_jwt_authorizer_takes_tokens_instead_of_signatures(tmp_path: Path) -> None:
    async def main(issuer: Any) -> None:
        url = f"{issuer.url}/.well-known/openid-configuration"
        allowed = ("Authorization",)
        authorizer = JwtAuthorizer(url, (AUDIENCE,))
        async with runtime_lab(tmp_path, authorizer=authorizer, allowlist=allowed) as here:
            path = f"{here.runtime.url}/runtimes/{quote(ARN, safe='')}"
            token = issuer.token()
            bearer = {"Authorization": f"Bearer {token}", SESSION: new_session()}
            async with aiohttp.ClientSession() as http:
                async with http.post(f"{path}/invocations", headers=bearer, json={}) as answer:
                    seen = (await answer.json())["headers"]
                    assert seen["authorization"] == f"Bearer {token}"
                wrong = {"Authorization": f"Bearer {issuer.token(aud='other')}"}
                async with http.post(f"{path}/invocations", headers=wrong) as answer:
                    assert answer.status == 401
                    assert "oauth-protected-resource" in answer.headers["WWW-Authenticate"]
                    assert "aud is ['other']" in (await answer.json())["hint"]
            with pytest.raises(ClientError, match="Authorization method mismatch"):
                await here.invoke()

            client = AgentCoreRuntimeClient(REGION)
            session = new_session()
            _, protocols = client.connect_shell_oauth(ARN, token, session)
            browser = f"{path.replace('http', 'ws', 1)}/ws?{SESSION}={session}"
            async with connect(browser, protocols=protocols) as socket:
                assert socket.protocol == SUBPROTOCOL
                await socket.send_str("headers")
                assert json.loads((await socket.receive()).data)[SESSION.lower()] == session

            talk = BearerRuntime(RuntimeAddress(here.runtime.url, ARN, "DEFAULT"), token)
            started = await talk.resume(await talk.start())
            async with connect(started.ws_url, headers=started.headers) as socket:
                await socket.send_str("headers")
                assert json.loads((await socket.receive()).data)[SESSION.lower()] == started.id
            await talk.stop(started)
            await talk.stop(started)  # one that has ended
            wrong_token = BearerRuntime(RuntimeAddress(here.runtime.url, ARN, "DEFAULT"), "a.b.c")
            with pytest.raises(SessionRefused, match="401"):
                await wrong_token.stop(started)

    with issuing() as issuer:
        asyncio.run(main(issuer))
