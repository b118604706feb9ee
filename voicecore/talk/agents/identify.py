"""Owns what answers at a URL: a session server of ours, a Pipecat runner, a container, a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from voicecore.console.proxies import proxy_for
from voicecore.talk.no_answer import why_no_answer
from voicecore.talk.session_client import ServerUnreachable, document_of

_SECONDS = 5


@dataclass(frozen=True)
class SessionServer:
    """A session server of a voicecore project, or what is taken for one."""


@dataclass(frozen=True)
class PipecatRunner:
    """A bot's own server; an older one has /api/offer only, and no `transports`."""

    transports: Sequence[str] = ()


@dataclass(frozen=True)
class BareAgent:
    """A program that implements AgentCore's contract: /ping, and /ws."""


@dataclass(frozen=True)
class Probe:
    """The answer to one GET."""

    status: int
    body: Mapping[str, Any]


Found = SessionServer | PipecatRunner | BareAgent


async def identify(http: aiohttp.ClientSession, url: str) -> Found:
    """Ask what answers at the URL. Raises ServerUnreachable."""
    paths = ("/config", "/status", "/ping", "/api/offer")
    config, status, ping, offer = await asyncio.gather(
        *(_get(http, url.rstrip("/") + path) for path in paths)
    )
    return what_answers(config, status, ping, offer)


def what_answers(config: Probe, status: Probe, ping: Probe, offer: Probe) -> Found:
    """Return what gives these answers to GET /config, /status, /ping and /api/offer."""
    if "transports" in config.body:
        return SessionServer()
    if "status" in status.body and (listed := _list(status.body.get("transports"))):
        return PipecatRunner(tuple(map(str, listed)))
    if offer.status == 405:  # it takes a POST
        return PipecatRunner()
    if ping.status == 200 and "status" in ping.body:
        return BareAgent()
    return SessionServer()


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


async def _get(http: aiohttp.ClientSession, url: str) -> Probe:
    try:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with http.get(
            url, timeout=timeout, proxy=proxy_for(url), allow_redirects=False
        ) as response:
            return Probe(response.status, await document_of(response))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        advice = "Is it running there? The project's own agent needs no --url:  voicecore talk"
        reason, advice = why_no_answer(error, url, advice)
        raise ServerUnreachable(
            f"Nothing answers at {url.rpartition('/')[0]}: {reason}.", advice
        ) from error
