"""A push by the Docker engine: followed layer by layer, begun again where that can help."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import requests

from voicecore.console.errors import VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.docker.engine import Engine, is_disk_full, require_size
from voicecore.image.model import Image, Tell
from voicecore.image.registry.client import PAUSES
from voicecore.image.registry.credentials import Login, Source
from voicecore.image.registry.errors import (
    NotLoggedIn,
    RegistryDenied,
    RegistryUnreachable,
    refusal,
)
from voicecore.image.registry.reference import Reference


def push(
    engine: Engine,
    image: Image,
    reference: Reference,
    source: Source,
    tell: Tell,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Send `reference`, which the engine has by that name; return the digest of its manifest.

    A login that has expired is renewed, and the network is tried again after `registry.PAUSES`;
    what the registry has by then is not sent again. Raises TooLarge, DiskFull, and what
    `registry.refusal` makes of a refusal.
    """
    require_size(image)
    pauses = iter(PAUSES)
    login, renewed = source(), False
    while True:
        try:
            return _push_once(engine, reference, login, tell)
        except (NotLoggedIn, RegistryDenied):
            # A containerd store says "403 Forbidden" of an expired token as of any denial.
            fresh = None if renewed else source()
            if fresh is None or fresh == login:
                raise
            login, renewed = fresh, True
        except RegistryUnreachable:
            pause = next(pauses, None)
            if pause is None:
                raise
            sleep(pause)


def _push_once(engine: Engine, reference: Reference, login: Login | None, tell: Tell) -> str:
    try:
        events = engine.client.api.push(
            reference.name,
            reference.tag,
            stream=True,
            decode=True,
            # An empty one says "nobody": None would let the SDK look for a login by itself.
            auth_config=auth_config(login),
        )
        return follow(reference, events, tell)
    except EngineDiskFull as error:
        raise engine.disk_full() from error
    except (requests.RequestException, OSError) as error:
        raise RegistryUnreachable(
            f"The Docker engine broke off while it pushed to {reference.name}: {error}",
            "See how it is:  docker info",
        ) from error


class EngineDiskFull(VoicecoreError):
    """The engine says that its disk is full."""


def auth_config(login: Login | None) -> dict[str, str]:
    """A login as the engine takes it."""
    if login is None:
        return {}
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"username": login.username, "password": login.password}


def follow(reference: Reference, events: Iterable[Mapping[str, Any]], tell: Tell) -> str:
    """Follow a push to its end; return the manifest's digest. Raises as `push` does.

    The SDK raises nothing when a push fails: an event tells.
    """
    digest = ""
    totals: dict[str, int] = {}
    for event in events:
        if "error" in event:
            raise push_error(reference, str(event["error"]))
        layer, status = str(event.get("id", "")), str(event.get("status", ""))
        # The one place where both of the engine's stores name it.
        if found := re.search(r": digest: (sha256:\w{64}) ", status):
            digest = found[1]
        if not layer or layer == reference.tag:
            continue
        detail = cast("Mapping[str, int]", event.get("progressDetail") or {})
        task = f"layer {layer.removeprefix('sha256:')[:12]}"
        if status == "Pushing" and "total" in detail:
            total = totals[layer] = detail["total"]
            # The engine counts the tar's padding too, which the total lacks.
            tell(Progress(task, min(detail.get("current", 0), total), total))
        elif status == "Pushed":
            size = totals.get(layer, 0)
            tell(Progress(task, size, size, finished=True))
        elif status in ("Layer already exists", "Already exists"):
            tell(Progress(task, finished=True, note="there already"))
        elif status.startswith("Mounted from"):
            tell(Progress(task, finished=True, note=status.lower()))
    if not digest:
        raise RegistryUnreachable(
            f"The push to {reference.name} broke off.", "Run the same command again."
        )
    return digest


# What the engine says of a registry's answer: the words of the errors that the registry's API names
# (distribution-spec, "Error Codes"), of ECR's, and of Go's network.
_MEANINGS = (
    (r"token has expired|no basic auth|unauthorized|authentication required", 401),
    (r"name unknown|repository .* does not exist|404 Not Found", 404),
    (r"immutable", 400),
    (r"denied|forbidden", 403),
)
_NETWORK = re.compile(
    r"connection re(fused|set)|\bEOF\b|time(d )?out|no such host|broken pipe|unreachable"
    r"|network is down|server misbehaving|closed network connection|HTTP status:? 5\d\d"
    r"|50[0234] ",
    re.IGNORECASE,
)


def push_error(reference: Reference, said: str) -> VoicecoreError:
    """What the engine's words for a failed push mean."""
    said = re.sub(r"(https?://[^\s\"?]+)\?[^\s\":]+", r"\1", said)  # an upload's long address
    if is_disk_full(said):
        return EngineDiskFull(said)
    for words, status in _MEANINGS:
        if re.search(words, said, re.IGNORECASE):
            return refusal(status, (), said, reference)
    if _NETWORK.search(said):
        return RegistryUnreachable(
            f"{reference.registry} could not be reached: {said}",
            "Once the network is back, the same command goes on where this one ended.",
        )
    return refusal(400, (), said, reference)
