"""Owns a push by the Docker engine: its progress, its errors and its retries."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import requests

from voicecore.console.errors import VoicecoreError
from voicecore.console.progress import OnProgress, Progress
from voicecore.image.docker.engine import Engine, EngineDiskFull, is_disk_full
from voicecore.image.limits import require_size
from voicecore.image.model import BuiltImage
from voicecore.image.registry.connection import PAUSES
from voicecore.image.registry.credentials import LoginSource, RegistryLogin
from voicecore.image.registry.errors import (
    NotLoggedIn,
    RegistryDenied,
    RegistryUnreachable,
    refusal,
)
from voicecore.image.registry.reference import Reference


def push(
    engine: Engine,
    image: BuiltImage,
    reference: Reference,
    source: LoginSource,
    on_progress: OnProgress,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Push the image that the engine knows as `reference`; return the digest of its manifest.

    An expired login is renewed once, and a network failure is retried after each of `PAUSES`;
    layers that the registry has by then are not sent again. Raises ImageTooLarge, EngineDiskFull,
    and the errors of `registry.errors`.
    """
    require_size(image)
    pauses = iter(PAUSES)
    login, renewed = source(), False
    while True:
        try:
            return _push_once(engine, reference, login, on_progress)
        except (NotLoggedIn, RegistryDenied):
            # A containerd store reports an expired token as "403 Forbidden", like any denial.
            fresh = None if renewed else source()
            if fresh is None or fresh == login:
                raise
            login, renewed = fresh, True
        except RegistryUnreachable:
            pause = next(pauses, None)
            if pause is None:
                raise
            sleep(pause)


def _push_once(
    engine: Engine, reference: Reference, login: RegistryLogin | None, on_progress: OnProgress
) -> str:
    try:
        events = engine.client.api.push(
            reference.name,
            reference.tag,
            stream=True,
            decode=True,
            # An empty one means anonymous; with None, the SDK would look for a login itself.
            auth_config=auth_config(login),
        )
        return follow(reference, events, on_progress)
    except EngineDiskFull as error:
        raise engine.disk_full() from error
    except (requests.RequestException, OSError) as error:
        raise RegistryUnreachable(
            f"Lost the Docker engine during the push to {reference.name}: {error}",
            "Check that it runs:  docker info",
        ) from error


def auth_config(login: RegistryLogin | None) -> dict[str, str]:
    """Return a login in the engine's format."""
    if login is None:
        return {}
    if login.identity_token:
        return {"identitytoken": login.identity_token}
    return {"username": login.username, "password": login.password}


def follow(
    reference: Reference, events: Iterable[Mapping[str, Any]], on_progress: OnProgress
) -> str:
    """Read the events of a push to the end; return the manifest's digest. Raises as `push` does.

    The SDK does not raise when a push fails: the failure is one of the events.
    """
    digest = ""
    totals: dict[str, int] = {}
    for event in events:
        if "error" in event:
            raise push_error(reference, str(event["error"]))
        layer, status = str(event.get("id", "")), str(event.get("status", ""))
        # The only event in which both of the engine's image stores name the digest.
        if found := re.search(r": digest: (sha256:\w{64}) ", status):
            digest = found[1]
        if not layer or layer == reference.tag:
            continue
        detail = cast("Mapping[str, int]", event.get("progressDetail") or {})
        task = f"layer {layer.removeprefix('sha256:')[:12]}"
        if status == "Pushing" and "total" in detail:
            total = totals[layer] = detail["total"]
            # The engine counts the tar's padding, which is not part of the total.
            on_progress(Progress(task, min(detail.get("current", 0), total), total))
        elif status == "Pushed":
            size = totals.get(layer, 0)
            on_progress(Progress(task, size, size, finished=True))
        elif status in ("Layer already exists", "Already exists"):
            on_progress(Progress(task, finished=True, note="already there"))
        elif status.startswith("Mounted from"):
            on_progress(Progress(task, finished=True, note=status.lower()))
    if not digest:
        raise RegistryUnreachable(
            f"The push to {reference.name} ended early.", "Run the same command again."
        )
    return digest


# The engine's messages for a registry's answer, and the status they stand for. The words are those
# of the registry API (distribution-spec, "Error Codes"), of ECR, and of Go's network errors.
_STATUSES = (
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


def push_error(reference: Reference, message: str) -> VoicecoreError:
    """Return the error for the engine's message about a failed push."""
    # Without the long queries of upload URLs.
    message = re.sub(r"(https?://[^\s\"?]+)\?[^\s\":]+", r"\1", message)
    if is_disk_full(message):
        return EngineDiskFull(message)
    for words, status in _STATUSES:
        if re.search(words, message, re.IGNORECASE):
            return refusal(status, (), message, reference)
    if _NETWORK.search(message):
        return RegistryUnreachable(
            f"Could not reach {reference.registry}: {message}",
            "When the network is back, run the same command again; it continues from here.",
        )
    return refusal(400, (), message, reference)
