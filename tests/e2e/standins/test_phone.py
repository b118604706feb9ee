"""The stand-ins of phone providers: their APIs, webhooks and calls are as documented."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import jwt
import pytest

from tests.standins.phone import NUMBER, Mistake, Proof, Provider
from tests.standins.talk.phone_server import PhoneServerStandIn
from tests.standins.talk.session_server import tone
from voicecore.catalog.phones import PHONES
from voicecore.talk.audio import pcm

CALLEE = "+12025550177"


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


class Customer:
    """Calls a provider's API as its documentation says."""

    def __init__(self, provider: Provider, http: aiohttp.ClientSession, **wrong: str) -> None:
        self.provider, self.http = provider, http
        self.variables = {**provider.variables, **wrong}

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        async with self.http.request(
            method, self.provider.url + path, headers=self._proof(), **body
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    def _proof(self) -> dict[str, str]:
        variables = self.variables
        match self.provider.name:
            case "telnyx":
                return {"Authorization": f"Bearer {variables['TELNYX_API_KEY']}"}
            case "vonage":
                claims = {
                    "application_id": variables["VONAGE_APPLICATION_ID"],
                    "iat": int(time.time()),
                    "jti": str(uuid.uuid4()),
                }
                token = jwt.encode(claims, variables["VONAGE_PRIVATE_KEY"], "RS256")
                return {"Authorization": f"Bearer {token}"}
            case name:
                user, password = {
                    "twilio": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
                    "plivo": ("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
                    "exotel": ("EXOTEL_API_KEY", "EXOTEL_API_TOKEN"),
                }[name]
                return {
                    "Authorization": aiohttp.encode_basic_auth(variables[user], variables[password])
                }

    def paths(self) -> tuple[str, str]:
        """Return the path of calls, and of one call with a placeholder for its ID."""
        variables = self.variables
        match self.provider.name:
            case "twilio":
                root = f"/2010-04-01/Accounts/{variables['TWILIO_ACCOUNT_SID']}/Calls"
                return f"{root}.json", root + "/{}.json"
            case "telnyx":
                return f"/v2/texml/calls/{variables['TELNYX_CONNECTION_ID']}", "/v2/calls/{}"
            case "plivo":
                root = f"/v1/Account/{variables['PLIVO_AUTH_ID']}/Call/"
                return root, root + "{}/"
            case "exotel":
                root = f"/v1/Accounts/{variables['EXOTEL_ACCOUNT_SID']}/Calls/"
                return f"{root}connect.json", root + "{}.json"
            case _:
                return "/v1/calls", "/v1/calls/{}"

    def order(self, to: str, answer_url: str) -> dict[str, Any]:
        """Return the request body that places a call."""
        match self.provider.name:
            case "twilio":
                return {"data": {"To": to, "From": NUMBER, "Url": answer_url}}
            case "telnyx":
                return {"json": {"To": to, "From": NUMBER, "Url": answer_url}}
            case "plivo":
                return {"json": {"to": to, "from": NUMBER, "answer_url": answer_url}}
            case "exotel":
                account, app = self.variables["EXOTEL_ACCOUNT_SID"], self.variables["EXOTEL_APP_ID"]
                flow = f"http://my.exotel.com/{account}/exoml/start_voice/{app}"
                return {"data": {"From": to, "CallerId": NUMBER, "Url": flow}}
            case _:
                return {
                    "json": {
                        "to": [{"type": "phone", "number": to.removeprefix("+")}],
                        "from": {"type": "phone", "number": NUMBER.removeprefix("+")},
                        "answer_url": [answer_url],
                    }
                }


def call_id(answer: Any) -> str:
    found = answer.get("Call", answer)
    keys = ("sid", "call_sid", "request_uuid", "Sid", "uuid")
    return next(found[key] for key in keys if key in found)


WRONG = {
    "twilio": ("TWILIO_AUTH_TOKEN", 20003),
    "telnyx": ("TELNYX_API_KEY", "10009"),
    "plivo": ("PLIVO_AUTH_TOKEN", "Could not verify"),
    "exotel": ("EXOTEL_API_TOKEN", "Authentication failed"),
    "vonage": ("VONAGE_APPLICATION_ID", "Unauthorized"),
}
HANG_UPS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "twilio": ("POST", "", {"data": {"Status": "completed"}}),
    "telnyx": ("POST", "/actions/hangup", {}),
    "plivo": ("DELETE", "", {}),
    "vonage": ("PUT", "", {"json": {"action": "hangup"}}),
}


@pytest.mark.parametrize("name", PHONES)
def test_api_places_and_ends_a_call(name: str) -> None:
    async def test() -> None:
        async with (
            PhoneServerStandIn() as server,
            Provider(name) as provider,
            aiohttp.ClientSession() as http,
        ):
            provider.flow_url = f"{server.url}/phone/{name}"
            customer = Customer(provider, http)
            calls, one = customer.paths()
            order = customer.order(CALLEE, f"{server.url}/phone/{name}")
            status, placed = await customer.ask("POST", calls, **order)
            assert status in (200, 201), placed
            handset = await asyncio.wait_for(provider.answered.get(), 10)
            await handset.hears(0.3)
            call = provider.calls[call_id(placed)]
            assert call.phone_call.outbound and call.phone_call.called == CALLEE

            assert (await customer.ask("GET", one.format(call.phone_call.id)))[0] == 200
            if name in HANG_UPS:
                method, more, body = HANG_UPS[name]
                ended = await customer.ask(method, one.format(call.phone_call.id) + more, **body)
                assert ended[0] in (200, 204), ended
                await handset.hung_up_on()
                assert call.status == "completed"
                again = await customer.ask(method, one.format(call.phone_call.id) + more, **body)
                assert again[0] in (400, 404, 422), again
            assert (await customer.ask("GET", one.format("unknown")))[0] == 404

            variable, reason = WRONG[name]
            stranger = Customer(provider, http, **{variable: "wrong"})
            status, refused = await stranger.ask("POST", calls, **order)
            assert (status, str(reason) in json.dumps(refused)) == (401, True), refused
            status, _ = await customer.ask("POST", calls, **customer.order("12", "http://a"))
            assert status in (400, 422)
            assert len(provider.calls) == 1
            assert ("POST", calls) in provider.asked

    run(test)


@pytest.mark.parametrize(
    ("name", "method", "more", "body"),
    [
        ("twilio", "POST", "", {"data": {"Twiml": "<Response><Dial>+1555</Dial></Response>"}}),
        ("telnyx", "POST", "/actions/transfer", {"json": {"to": CALLEE}}),
        (
            "vonage", "PUT", "",
            {"json": {"action": "transfer", "destination": {"type": "ncco", "ncco": [
                {"action": "connect", "endpoint": [{"type": "phone", "number": "1555"}]}]}}},
        ),
    ],
)  # fmt: skip
def test_api_transfers_a_call(name: str, method: str, more: str, body: dict[str, Any]) -> None:
    async def test() -> None:
        async with (
            PhoneServerStandIn() as server,
            Provider(name) as provider,
            aiohttp.ClientSession() as http,
            provider.call(server.url) as handset,
        ):
            customer = Customer(provider, http)
            (call,) = provider.calls.values()
            path = customer.paths()[1].format(call.phone_call.id) + more
            status, answer = await customer.ask(method, path, **body)
            assert status in (200, 204), answer
            await handset.hung_up_on()
            assert call.transferred_to in ("+1555", "1555", CALLEE)

    run(test)


@pytest.mark.parametrize("name", PHONES)
def test_caller_is_heard_and_hears_the_agent(name: str) -> None:
    async def test() -> None:
        async with PhoneServerStandIn() as server, Provider(name) as provider:
            async with provider.call(server.url) as handset:
                await handset.hears(0.3)
                await handset.silence(0.2)
                await handset.say(tone(400, 300, pcm.SPEECH_RATE))
                handset.press("5#")
                await handset.hears(0.8)
                assert handset.complaints == []
            assert server.sizes == {handset.media.chunk_bytes}
            assert len(server.events("dtmf") or server.events("websocket:dtmf")) == 2
            assert handset.cleared == 2  # by the voice, then by the keys

    run(test)


@pytest.mark.parametrize("name", PHONES)
def test_proofs_differ(name: str) -> None:
    async def test() -> None:
        async with PhoneServerStandIn() as server, Provider(name) as provider:
            valid = await provider.ring(server.url)
            assert valid.connect.url.startswith("ws://127.0.0.1:")
            await provider.ring_again(valid)
            for proof in (Proof.MISSING, Proof.FORGED, Proof.ALTERED):
                await provider.ring(server.url, proof)
        names = ("X-Twilio-Signature", "telnyx-signature-ed25519", "X-Plivo-Signature-V3")
        proofs = [
            next((headers[n] for n in (*names, "Authorization") if n in headers), None)
            for _, headers, _ in server.webhooks
        ]
        first, again, missing, forged, altered = proofs
        assert first == again and missing is None
        assert forged not in (None, first)
        assert altered is not None

    run(test)


def test_mistakes_change_the_start_of_the_stream() -> None:
    async def start(mistake: Mistake) -> list[Any]:
        async with (
            PhoneServerStandIn() as server,
            Provider("twilio") as provider,
            provider.dial(await provider.ring(server.url), mistake),
        ):
            return await server.receives(2)

    async def test() -> None:
        assert [message["event"] for message in await start(Mistake.MEDIA_FIRST)] == ["media"] * 2
        _, begun = await start(Mistake.WRONG_CALL)
        assert begun["start"]["callSid"] == "another" * 5
        _, begun = await start(Mistake.BAD_START)
        assert "callSid" not in begun["start"] and "mediaFormat" in begun["start"]

    run(test)
