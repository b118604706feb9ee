"""Owns signed webhooks as values: how providers make them, and what the server reads in them."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.server.serving import ARN, KEY
from tests.standins.phone import account
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.accounts import SIGNING_KEY
from voicecore.catalog.phones.signaling import WebhookRequest
from voicecore.local.processes import venv

PUBLIC_URL = "https://phone.example"
SIGNING = ("twilio", "telnyx", "plivo", "vonage")
"""Providers that sign their requests; Exotel logs in instead."""
CALLER, CALLED = "+12025550123", "+12025550100"
NOW = 1_790_000_000

# Few enough for the answers to fit into a pipe while no one reads them.
_BATCH = 100

Read = list[str] | None
"""Values that the server reads in a webhook; None if it is refused."""


@dataclass(frozen=True)
class Webhook:
    """A request of a provider; its body is text, of which each character is a byte."""

    provider: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: str

    def line(self, now: float = NOW) -> str:
        """Return the webhook as the reader takes it."""
        parts = [self.provider, self.method, self.url, dict(self.headers), self.body, now]
        return json.dumps(parts) + "\n"

    def send(self, server: str, host: str = "phone.example") -> int:
        """Send it to the server; return the HTTP status."""
        at, sent_to = urlsplit(server), urlsplit(self.url)
        target = sent_to._replace(scheme="", netloc="").geturl()
        connection = http.client.HTTPConnection(at.hostname or "", at.port or 80, timeout=60)
        try:
            headers = {**self.headers, "host": host}
            connection.request(self.method, target, self.body.encode("latin-1"), headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def with_header(self, name: str, value: str) -> Webhook:
        return replace(self, headers={**self.headers, name: value})


@dataclass(frozen=True)
class Accounts:
    """The accounts of a server at all providers."""

    secrets: Mapping[str, dict[str, str]]

    @property
    def variables(self) -> dict[str, str]:
        """Settings of the server."""
        known = {n: v for own in self.secrets.values() for n, v in own.items() if n != SIGNING_KEY}
        return {**known, "PUBLIC_URL": PUBLIC_URL}

    def webhook(
        self,
        provider: str,
        method: str = "POST",
        path: str = "",
        now: float = NOW,
        fields: Mapping[str, str] | None = None,
        origin: str = PUBLIC_URL,
    ) -> Webhook:
        """Return a webhook about a new call, or one with these fields, as the provider signs it."""
        signaling, secrets = PHONES[provider].signaling(), self.secrets[provider]
        call = signaling.new_call(secrets, CALLER, CALLED)
        sent = signaling.fields(call, "ringing") if fields is None else fields
        as_json = provider == "vonage" and method == "POST"
        url = f"{origin}/phone/{provider}{path}"
        request = WebhookRequest(method, url, sent, as_json)
        signed = {n.lower(): v for n, v in signaling.sign(request, secrets, now).items()}
        headers = {"content-type": request.content_type, **signed}
        return Webhook(provider, method, request.address, headers, request.body.decode("latin-1"))


def new_accounts() -> Accounts:
    """Return new accounts at all providers."""
    return Accounts({name: account(name) for name in PHONES})


class Reader:
    """The part of the server that reads webhooks: a process, until the `with` block ends."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        own = {"SESSION_API_KEY": KEY, "AGENT_RUNTIME_ARN": ARN, "AWS_REGION": "us-east-1"}
        script = Path(__file__).with_name("webhook_reader.py")
        self._process = subprocess.Popen(
            [venv.python_of(folder), script], cwd=folder, text=True,
            env={"PATH": os.environ["PATH"], **own, **variables},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def read(self, *webhooks: Webhook) -> list[Read]:
        """Return what the server reads in each webhook."""
        to, back = self._process.stdin, self._process.stdout
        assert to and back
        read: list[Read] = []
        for at in range(0, len(webhooks), _BATCH):
            batch = webhooks[at : at + _BATCH]
            to.write("".join(webhook.line() for webhook in batch))
            to.flush()
            read += [json.loads(back.readline()) for _ in batch]
        return read


METHODS = ("GET", "POST", "PUT", "post", "")
INSERTED = "&=.%+?/a0 "


def altered(text: str) -> Iterator[str]:
    """Yield the text with each byte replaced, removed, and preceded by another."""
    for at, byte in enumerate(text):
        for other in (chr(ord(byte) ^ 1), chr(ord(byte) ^ 0x20), *"&=."):
            yield text[:at] + other + text[at + 1 :]
        yield text[:at] + text[at + 1 :]
        for other in INSERTED:
            yield text[:at] + other + text[at:]
    yield from (text + other for other in INSERTED)


def mutations(webhook: Webhook) -> Iterator[Webhook]:
    """Yield the webhook with each part of it changed: method, URL, query, headers and body."""
    yield from (replace(webhook, method=method) for method in METHODS)
    yield from (replace(webhook, url=url) for url in altered(webhook.url))
    yield from (replace(webhook, body=body) for body in altered(webhook.body))
    yield replace(webhook, body=webhook.body + webhook.body)
    for name, value in webhook.headers.items():
        yield replace(webhook, headers={n: v for n, v in webhook.headers.items() if n != name})
        yield from (webhook.with_header(name, other) for other in altered(value))
