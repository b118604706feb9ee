"""Owns what all TURN sources share: their type, their errors, and helpers to ask them."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 2.5

# As long as a session may live: these providers cut a call when its credentials expire.
SESSION_SECONDS = 8 * 3600

# RFC 7065; RFC 7064 has the same for stun.
URL = re.compile(r"(stuns?|turns?):([\w.-]+|\[[\da-fA-F:]+\])(:\d{1,5})?(\?transport=(udp|tcp))?")

Environment = Mapping[str, str]


class NoTurnCredentials(Exception):
    """A source gives no TURN credentials; the message says why, without secrets."""


@dataclass(frozen=True)
class TurnServer:
    """A TURN server, with credentials that are valid for a while."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


@dataclass(frozen=True)
class TurnSource:
    """A place that TURN credentials come from, and the variables that configure it."""

    name: str
    needs: tuple[str, ...]
    ask: Callable[[Environment], list[TurnServer]]
    """Blocks for a few seconds at most. Raises NoTurnCredentials and its library's errors."""
    warm_up: Callable[[Environment], None] | None = None
    """Loads what the first call would wait for. Raises anything."""

    def is_configured(self, environment: Environment) -> bool:
        """Return True when all its variables are set."""
        return all(environment.get(name) for name in self.needs)

    async def servers(self, environment: Environment) -> list[TurnServer]:
        """Return servers with new credentials. Raises NoTurnCredentials."""
        if missing := [name for name in self.needs if not environment.get(name)]:
            raise NoTurnCredentials(f"{self.name} needs {' and '.join(missing)}")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.to_thread(self.ask, environment)
        except TimeoutError:
            message = f"{self.name} did not answer within {ANSWER_SECONDS:g} s"
            raise NoTurnCredentials(message) from None
        except urllib.error.HTTPError as error:
            raise NoTurnCredentials(f"{self.name} refused: {error.code} {error.reason}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoTurnCredentials(f"{self.name} did not answer as expected: {error!r}") from error


def post(url: str, headers: dict[str, str], body: str) -> Any:
    """Return the JSON that a web service answers. Raises OSError and ValueError."""
    request = urllib.request.Request(url, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def parse_servers(servers: list[dict[str, Any]]) -> Iterator[TurnServer]:
    """Parse servers in the form that browsers take, where `urls` is one URL or a list."""
    for server in servers:
        urls = server["urls"]
        yield TurnServer(
            (urls,) if isinstance(urls, str) else tuple(urls),
            server.get("username", ""),
            server.get("credential", ""),
        )


def urls_in(environment: Environment, variable: str) -> tuple[str, ...]:
    """Return the URLs that a variable lists.

    Raises NoTurnCredentials when one is malformed, or none is a TURN URL.
    """
    urls = tuple(url.strip() for url in environment[variable].split(",") if url.strip())
    for url in urls:
        if not URL.fullmatch(url):
            raise NoTurnCredentials(
                f"{variable}: {url!r} is not a URL like turn:host:3478?transport=udp"
            )
    if not any(url.startswith("turn") for url in urls):
        raise NoTurnCredentials(f"{variable} has no turn: or turns: URL, and AWS needs a relay")
    return urls
