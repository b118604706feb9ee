"""However captured webhooks are altered and mixed, the server reads what was signed, or refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.fuzz.rounds import rounds
from tests.server.serving import make_server
from tests.server.webhooks import PUBLIC_URL, SIGNING, Accounts, Reader, Webhook, new_accounts
from voicecore.catalog.phones import PHONES

pytestmark = pytest.mark.slow

BYTES = [*map(chr, range(256)), *"&=.,%+?/#;:@ \t\r\n\0" * 8]
VARIANTS = 100  # of each round


def test_webhooks(tmp_path: Path) -> None:
    folder = make_server(tmp_path, ("telephony",), tuple(PHONES))
    accounts = new_accounts()
    with Reader(folder, accounts.variables) as reader:
        captured = {name: signed(accounts, name) for name in SIGNING}
        for seed, random in rounds():
            name = random.choice(SIGNING)
            # The call is what was signed. A status may take text from the fields that follow it,
            # as Twilio and Plivo sign text without separators; then it is one that is over.
            known = {tuple((read or [])[:3]) for read in reader.read(*captured[name])}
            onces = {(read or [""])[-1] for read in reader.read(*captured[name])}
            variants = [altered(random, captured[name]) for _ in range(VARIANTS)]
            for variant, read in zip(variants, reader.read(*variants), strict=True):
                accepted = read is None or (tuple(read[:3]) in known and read[-1] in onces)
                assert accepted, (seed, variant, read)


def signed(accounts: Accounts, name: str) -> list[Webhook]:
    """Return what an attacker may have captured: webhooks of two calls, by each method."""
    methods = ["POST", "POST"] if name == "telnyx" else ["POST", "GET"]
    paths = ("", "/status", "?a=1&b=.2")
    return [accounts.webhook(name, method, path) for method in methods for path in paths]


def altered(random: Random, captured: list[Webhook]) -> Webhook:
    """Return a captured webhook with several changes."""
    webhook = random.choice(captured)
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        webhook = random.choice((edited, edited, mixed, shuffled, recoded))(
            random, webhook, random.choice(captured)
        )
    return webhook


def edited(random: Random, webhook: Webhook, other: Webhook) -> Webhook:
    """Change some bytes of one part."""
    part = random.choice(["url", "body", "method", *webhook.headers])
    if part in webhook.headers:
        return webhook.with_header(part, cut(random, webhook.headers[part]))
    if part == "url":  # its origin is the server's setting, and a path begins with a slash
        origin = f"{PUBLIC_URL}/"
        return replace(webhook, url=origin + cut(random, webhook.url.removeprefix(origin)))
    return replace(webhook, **{part: cut(random, getattr(webhook, part))})


def cut(random: Random, text: str) -> str:
    """Return the text with some of it removed, repeated, replaced, moved or nested deeply."""
    start, end = sorted(random.randrange(len(text) + 1) for _ in range(2))
    if random.random() < 0.8:
        end = min(end, start + random.choice((0, 1, 1, 2)))
    piece = random.choice(
        ("", "", text[start:end] * 2, random.choice(BYTES), text[start:end][::-1], "[" * 50_000)
    )
    return text[:start] + piece + text[end:]


def mixed(random: Random, webhook: Webhook, other: Webhook) -> Webhook:
    """Take one part from another webhook."""
    part = random.choice(("method", "url", "body", "headers", "header"))
    if part == "header":
        name = random.choice([*other.headers])
        return webhook.with_header(name, other.headers[name])
    return replace(webhook, **{part: getattr(other, part)})


def shuffled(random: Random, webhook: Webhook, other: Webhook) -> Webhook:
    """Reorder the fields of form and query, repeat some, and move text between name and value."""
    base, _, query = webhook.url.partition("?")
    fields = parse_qsl(webhook.body, True)
    for at in range(len(fields)):
        if random.random() < 0.1:
            text, split = "".join(fields[at]), random.randrange(9)
            fields[at] = (text[:split], text[split:])
    random.shuffle(fields)
    parameters = parse_qsl(query, True)
    random.shuffle(parameters)
    if random.random() < 0.2:
        fields, parameters = parameters, fields
    url = f"{base}?{urlencode(parameters)}" if parameters else base
    return replace(webhook, url=url, body=urlencode(fields))


def recoded(random: Random, webhook: Webhook, other: Webhook) -> Webhook:
    """Write some characters of the body and the query as %XX."""

    def recode(text: str) -> str:
        return "".join(
            f"%{ord(char):02x}" if char.isalnum() and random.random() < 0.1 else char
            for char in text
        )

    base, mark, query = webhook.url.partition("?")
    return replace(webhook, url=base + mark + recode(query), body=recode(webhook.body))
