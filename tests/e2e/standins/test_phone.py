"""The stand-ins themselves: their APIs answer and refuse as documented, their calls are theirs."""

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
from tests.standins.talk.session_server import tone
from tests.standins.talk.switchboard import Switchboard
from voicecore.talk.audio import pcm
from voicecore.talk.telephone.media_frames import WIRES

CALLEE = "+12025550177"


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


class Customer:
    """Asks a provider's API as its documentation says."""

    def __init__(self, provider: Provider, http: aiohttp.ClientSession, **wrong: str) -> None:
        self.provider, self.http = provider, http
        self.known = {**provider.variables, **wrong}

    async def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        async with self.http.request(
            method, self.provider.url + path, headers=self._proof(), **body
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    def _proof(self) -> dict[str, str]:
        known = self.known
        match self.provider.name:
            case "telnyx":
                return {"Authorization": f"Bearer {known['TELNYX_API_KEY']}"}
            case "vonage":
                claims = {
                    "application_id": known["VONAGE_APPLICATION_ID"],
                    "iat": int(time.time()),
                    "jti": str(uuid.uuid4()),
                }
                token = jwt.encode(claims, known["VONAGE_PRIVATE_KEY"], "RS256")
                return {"Authorization": f"Bearer {token}"}
            case name:
                user, password = {
                    "twilio": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
                    "plivo": ("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
                    "exotel": ("EXOTEL_API_KEY", "EXOTEL_API_TOKEN"),
                }[name]
                return {"Authorization": aiohttp.encode_basic_auth(known[user], known[password])}

    def paths(self) -> tuple[str, str]:
        """Of calls, and of one call, which is to be formatted with its id."""
        known = self.known
        match self.provider.name:
            case "twilio":
                root = f"/2010-04-01/Accounts/{known['TWILIO_ACCOUNT_SID']}/Calls"
                return f"{root}.json", root + "/{}.json"
            case "telnyx":
                return f"/v2/texml/calls/{known['TELNYX_CONNECTION_ID']}", "/v2/calls/{}"
            case "plivo":
                root = f"/v1/Account/{known['PLIVO_AUTH_ID']}/Call/"
                return root, root + "{}/"
            case "exotel":
                root = f"/v1/Accounts/{known['EXOTEL_ACCOUNT_SID']}/Calls/"
                return f"{root}connect.json", root + "{}.json"
            case _:
                return "/v1/calls", "/v1/calls/{}"

    def order(self, to: str, answer_url: str) -> dict[str, Any]:
        """The body that places a call."""
        match self.provider.name:
            case "twilio":
                return {"data": {"To": to, "From": NUMBER, "Url": answer_url}}
            case "telnyx":
                return {"json": {"To": to, "From": NUMBER, "Url": answer_url}}
            case "plivo":
                return {"json": {"to": to, "from": NUMBER, "answer_url": answer_url}}
            case "exotel":
                account, app = self.known["EXOTEL_ACCOUNT_SID"], self.known["EXOTEL_APP_ID"]
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


@pytest.mark.parametrize("name", WIRES)
def test_a_call_that_is_placed_and_ended_by_the_api(name: str) -> None:
    async def test() -> None:
        async with (
            Switchboard() as board,
            Provider(name) as provider,
            aiohttp.ClientSession() as http,
        ):
            provider.flow_url = f"{board.url}/phone/{name}"
            customer = Customer(provider, http)
            calls, one = customer.paths()
            order = customer.order(CALLEE, f"{board.url}/phone/{name}")
            status, placed = await customer.ask("POST", calls, **order)
            assert status in (200, 201), placed
            handset = await asyncio.wait_for(provider.answered.get(), 10)
            await handset.hears(0.3)
            call = provider.calls[call_id(placed)]
            assert call.it.outbound and call.it.called == CALLEE

            assert (await customer.ask("GET", one.format(call.it.id)))[0] == 200
            if name in HANG_UPS:
                method, more, body = HANG_UPS[name]
                ended = await customer.ask(method, one.format(call.it.id) + more, **body)
                assert ended[0] in (200, 204), ended
                await handset.hung_up_on()
                assert call.status == "completed"
                again = await customer.ask(method, one.format(call.it.id) + more, **body)
                assert again[0] in (400, 404, 422), again
            assert (await customer.ask("GET", one.format("nobody")))[0] == 404

            variable, told = WRONG[name]
            stranger = Customer(provider, http, **{variable: "wrong"})
            status, refused = await stranger.ask("POST", calls, **order)
            assert (status, str(told) in json.dumps(refused)) == (401, True), refused
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
def test_a_call_that_is_transferred(
    name: str, method: str, more: str, body: dict[str, Any]
) -> None:
    async def test() -> None:
        async with (
            Switchboard() as board,
            Provider(name) as provider,
            aiohttp.ClientSession() as http,
            provider.call(board.url) as handset,
        ):
            customer = Customer(provider, http)
            (call,) = provider.calls.values()
            path = customer.paths()[1].format(call.it.id) + more
            status, answer = await customer.ask(method, path, **body)
            assert status in (200, 204), answer
            await handset.hung_up_on()
            assert call.transferred_to in ("+1555", "1555", CALLEE)

    run(test)


@pytest.mark.parametrize("name", WIRES)
def test_a_caller_is_heard_and_hears(name: str) -> None:
    async def test() -> None:
        async with Switchboard() as board, Provider(name) as provider:
            async with provider.call(board.url) as handset:
                await handset.hears(0.3)
                await handset.silence(0.2)
                await handset.say(tone(400, 300, pcm.SPEECH_RATE))
                handset.press("5#")
                await handset.hears(0.8)
                assert handset.complaints == []
            assert board.sizes == {handset.wire.bytes_per_ms * handset.wire.chunk_ms}
            assert len(board.events("dtmf") or board.events("websocket:dtmf")) == 2
            assert handset.cleared == 1

    run(test)


@pytest.mark.parametrize("name", WIRES)
def test_proofs_differ_as_they_should(name: str) -> None:
    async def test() -> None:
        async with Switchboard() as board, Provider(name) as provider:
            true = await provider.ring(board.url)
            assert true.connect.url.startswith("ws://127.0.0.1:")
            await provider.ring_again(true)
            for proof in (Proof.MISSING, Proof.FORGED, Proof.ALTERED):
                await provider.ring(board.url, proof)
        names = ("X-Twilio-Signature", "telnyx-signature-ed25519", "X-Plivo-Signature-V3")
        told = [
            next((headers[n] for n in (*names, "Authorization") if n in headers), None)
            for _, headers, _ in board.webhooks
        ]
        first, again, missing, forged, altered = told
        assert first == again and missing is None
        assert forged not in (None, first)
        assert altered is not None

    run(test)


def test_mistakes_at_the_start_are_what_they_say() -> None:
    async def start(mistake: Mistake) -> list[Any]:
        async with (
            Switchboard() as board,
            Provider("twilio") as provider,
            provider.dial(await provider.ring(board.url), mistake),
        ):
            return await board.receives(2)

    async def test() -> None:
        assert [message["event"] for message in await start(Mistake.MEDIA_FIRST)] == ["media"] * 2
        _, begun = await start(Mistake.WRONG_RATE)
        assert begun["start"]["mediaFormat"]["sampleRate"] == 16000
        _, begun = await start(Mistake.WRONG_CALL)
        assert begun["start"]["callSid"] == "another" * 5
        _, begun = await start(Mistake.BAD_START)
        assert "callSid" not in begun["start"] and "mediaFormat" in begun["start"]

    run(test)
