"""Of a webhook, the server reads only what the provider's signature covers, and only once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import jwt
import pytest

from tests.files import complete_lines
from tests.server.serving import RunningServer, make_server, serving
from tests.server.webhooks import (
    CALLED,
    CALLER,
    PUBLIC_URL,
    SIGNING,
    Accounts,
    Reader,
    Webhook,
    mutations,
    new_accounts,
)
from voicecore.catalog.phones import PHONES
from voicecore.local.processes import venv

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
BASE64_URL = BASE64.replace("+/", "-_")
# A port without a listener: no answer to a webhook needs AWS.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    return new_accounts()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_server(tmp_path_factory.mktemp("server"), ("telephony",), tuple(PHONES))


@pytest.fixture(scope="module")
def server(folder: Path, accounts: Accounts) -> Iterator[RunningServer]:
    with serving(folder, folder / "log", NOWHERE, **accounts.variables) as server:
        yield server


@pytest.fixture(scope="module")
def reader(folder: Path, accounts: Accounts) -> Iterator[Reader]:
    with Reader(folder, accounts.variables) as reader:
        yield reader


def fresh(accounts: Accounts, name: str, origin: str = PUBLIC_URL) -> Webhook:
    return accounts.webhook(name, now=time.time(), origin=origin)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    # Telnyx signs only bodies.
    [(name, method) for name in SIGNING for method in ("POST", "GET") if name != "telnyx"]
    + [("telnyx", "POST")],
)
def test_mutated_webhook_is_refused_or_read_as_it_was_signed(
    reader: Reader, accounts: Accounts, name: str, method: str
) -> None:
    webhook = accounts.webhook(name, method)
    variants = [webhook, *mutations(webhook)]
    original, *reads = reader.read(*variants)
    assert original and [number[-11:] for number in original[1:3]] == [CALLER[1:], CALLED[1:]]
    wrong = [
        (variant, read)
        for variant, read in zip(variants[1:], reads, strict=True)
        if read is not None and read != original
    ]
    assert wrong == []
    refused = sum(read is None for read in reads)
    assert refused > 0.8 * len(reads)  # what is left: header values that decode to the same


def other_tail(text: str, alphabet: str) -> str:
    """Return base64 that decodes to the same bytes: its last digit has unused bits."""
    digits, padding = text.rstrip("="), text[len(text.rstrip("=")) :]
    return digits[:-1] + alphabet[alphabet.index(digits[-1]) ^ 1] + padding


def telnyx_tail(webhook: Webhook) -> Webhook:
    name = "telnyx-signature-ed25519"
    return webhook.with_header(name, other_tail(webhook.headers[name], BASE64))


def vonage_tail(webhook: Webhook) -> Webhook:
    token = other_tail(webhook.headers["authorization"], BASE64_URL)
    return webhook.with_header("authorization", token)


def plivo_nonce(webhook: Webhook) -> Webhook:
    """Move the end of the last field into the nonce."""
    fields = parse_qsl(webhook.body)
    name, value = fields[-1]
    kept, _, moved = value.rpartition(".")
    nonce = f"{moved}.{webhook.headers['x-plivo-signature-v3-nonce']}"
    body = urlencode([*fields[:-1], (name, kept)])
    return replace(webhook, body=body).with_header("x-plivo-signature-v3-nonce", nonce)


def same(webhook: Webhook) -> Webhook:
    return webhook


@pytest.mark.parametrize(
    ("name", "replay"),
    [
        *((name, same) for name in SIGNING),
        ("telnyx", telnyx_tail),
        ("vonage", vonage_tail),
        ("plivo", plivo_nonce),
    ],
)
def test_replay_is_refused_in_every_spelling(
    server: RunningServer, accounts: Accounts, name: str, replay: Callable[[Webhook], Webhook]
) -> None:
    sent = fresh(accounts, name)
    if replay is plivo_nonce:
        fields = dict(parse_qsl(sent.body)) | {"To": "sip:a@b.example"}
        sent = accounts.webhook(name, now=time.time(), fields=fields)
    assert sent.send(server.url) == 200
    assert replay(sent).send(server.url) == 401
    assert '"event": "webhook_refused"' in complete_lines(server.log)[-1]


def test_window_of_replays_is_longer_than_a_signature_is_valid(folder: Path) -> None:
    script = (
        "from internal.telephony import incoming_calls as calls, provider;"
        "print(calls.REPLAY_SECONDS, provider.AGE_SECONDS)"
    )
    python = venv.python_of(folder)
    output = subprocess.check_output([python, "-c", script], cwd=folder, text=True)
    replay, age = map(int, output.split())
    assert replay > 2 * age  # a signature may be of a clock that is ahead


@pytest.mark.parametrize("name", ["telnyx", "vonage"])
@pytest.mark.parametrize("seconds", [-301, 301])
def test_webhook_of_another_time_is_refused(
    server: RunningServer, accounts: Accounts, name: str, seconds: int
) -> None:
    assert accounts.webhook(name, now=time.time() + seconds).send(server.url) == 401


def test_parts_that_are_not_signed_are_not_read(reader: Reader, accounts: Accounts) -> None:
    form = urlencode({"CallSid": "CA2", "CallStatus": "x", "From": "+1900", "To": "+1"})
    plivo = form.replace("CallSid", "CallUUID")
    telnyx, bare = accounts.webhook("telnyx"), accounts.webhook("twilio", fields={})
    for webhook, variant in (
        (telnyx, replace(telnyx, url=f"{telnyx.url}?From=%2B1900&Extra=1")),
        *(
            (sent, replace(sent, body=body))
            for name, body in (("plivo", plivo), ("twilio", form), ("vonage", '{"uuid": "u2"}'))
            for sent in [accounts.webhook(name, "GET")]
        ),
    ):
        expected, read = reader.read(webhook, variant)
        assert expected and read == expected
    # A JSON body beside a signed URL.
    as_json = bare.with_header("content-type", "application/json")
    body = json.dumps(dict(parse_qsl(form)))
    assert reader.read(replace(as_json, body=body)) == [None]


def test_vonage_request_without_a_hash_is_refused(reader: Reader, accounts: Accounts) -> None:
    secret = accounts.secrets["vonage"]["VONAGE_SIGNATURE_SECRET"]
    sent = accounts.webhook("vonage", "GET")
    claims = jwt.decode(
        sent.headers["authorization"].split()[1], secret, ["HS256"], options={"verify_iat": False}
    )
    del claims["payload_hash"]
    token = jwt.encode(claims, secret, "HS256")
    bare = sent.with_header("authorization", f"Bearer {token}")
    assert reader.read(bare) == [None]


def test_host_of_a_request_is_not_trusted(server: RunningServer, accounts: Accounts) -> None:
    """A webhook for another server of the same account is not for this one."""
    sent = fresh(accounts, "twilio")
    assert sent.send(server.url, host="other.example") == 200  # the host is not read
    other = fresh(accounts, "twilio", origin="http://other.example")
    assert other.send(server.url, host="other.example") == 401


def test_server_needs_its_public_url(folder: Path, accounts: Accounts) -> None:
    with (
        pytest.raises(AssertionError, match="PUBLIC_URL is not set"),
        serving(folder, folder / "refused", NOWHERE, **accounts.variables | {"PUBLIC_URL": ""}),
    ):
        pass
