"""`voicecore call`: the agent calls somebody, by the project's telephone provider."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voicecore.catalog.phones import PHONES
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.call import CallOptions
from voicecore.project.project import load_project
from voicecore.project.schema import one_of
from voicecore.talk import optional_deps
from voicecore.talk.target import Line, Target, dial

if TYPE_CHECKING:
    import aiohttp

_LIVE = ("queued", "initiated", "started", "ringing", "in-progress", "answered")
"""What providers call a call that is not over."""
_LOOK_SECONDS = 1.0


class BadNumber(VoicecoreError):
    """Nobody can be called by this number."""


class NoTelephone(VoicecoreError):
    """The project, or the server, has no such telephone provider."""


class CallRefused(VoicecoreError):
    """The session server, or the provider behind it, did not place the call."""


def run(context: Context, options: CallOptions) -> ExitCode:
    """Call the number and follow the call to its end; Ctrl-C hangs up."""
    optional_deps.require()
    check_number(options.number)
    root = (context.cwd / (options.project or "")).resolve()
    anywhere = options.url is not None and not (root / "voicecore.toml").exists()
    project = None if anywhere else load_project(root)
    known = project.providers if project else tuple(PHONES)
    if not known:
        raise NoTelephone(
            f"{project and project.name} has no telephone.",
            "Add one:  voicecore add telephony --provider twilio",
        )
    provider = options.provider or (known[0] if project else None)
    if provider and provider not in known:
        hint = f"Add it:  voicecore add telephony --provider {provider}"
        raise NoTelephone(
            f"There is no provider {provider!r} here{one_of(known)}.",
            hint if provider in PHONES else None,
            ExitCode.USAGE,
        )
    question = f"Let the agent call {options.number}?"
    confirm(context, options, question, "no call was placed", typed("call", options))
    target = Target(options.api_key_env, url=options.url)

    async def place() -> ExitCode:
        async with dial(context, project, target) as line:
            return await follow(context, options, line, provider)

    return asyncio.run(place())


def check_number(number: str) -> None:
    """Raise BadNumber unless it is one as E.164 has them, however it is spaced."""
    if not re.fullmatch(r"\+?[1-9][0-9]{6,14}", re.sub(r"[ ().-]", "", number)):
        raise BadNumber(
            f"{number!r} is no telephone number.",
            "A number is written with its country's code:  voicecore call +14155550100",
            ExitCode.USAGE,
        )


async def follow(
    context: Context, options: CallOptions, line: Line, provider: str | None
) -> ExitCode:
    """Place the call, and tell each state that it comes to. Raises CallRefused."""
    import aiohttp

    wanted = {"to": options.number, **({"provider": provider} if provider else {})}
    headers = {"Authorization": f"Bearer {line.key}"}
    async with aiohttp.ClientSession(line.url, headers=headers) as http:
        placed = await ask(http, "POST", "/phone/calls", wanted)
        told(context, options, "placed", placed)
        path = f"/phone/calls/{quote(placed['callId'], safe='')}?provider={placed['provider']}"
        try:
            return await _watched(context, options, http, path)
        except asyncio.CancelledError:
            await ask(http, "DELETE", path)
            raise


async def _watched(
    context: Context, options: CallOptions, http: aiohttp.ClientSession, path: str
) -> ExitCode:
    before = ""
    while True:
        state = await ask(http, "GET", path)
        status = str(state["status"])
        if status != before:
            told(context, options, status, state)
        if status not in _LIVE:
            return ExitCode.OK if status == "completed" else ExitCode.FAILED
        before = status
        await asyncio.sleep(_LOOK_SECONDS)


async def ask(
    http: aiohttp.ClientSession, method: str, path: str, body: dict[str, str] | None = None
) -> dict[str, Any]:
    """What the session server answers. Raises CallRefused."""
    import aiohttp
    from yarl import URL

    try:
        # Ids have colons at some providers: as they are written, so they stay.
        async with http.request(method, URL(path, encoded=True), json=body) as answer:
            document: dict[str, Any] = {} if answer.status == 204 else await answer.json()
    except aiohttp.ClientConnectorError as error:
        raise CallRefused(
            f"Nobody answers at {error.host}, port {error.port}.",
            "Start the project's own with `voicecore dev`, or leave out --url.",
        ) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise CallRefused(f"The session server cannot be asked: {error}.") from error
    if answer.status >= 400:
        refusal = document.get("error", {})
        hint = None
        if refusal.get("code") in ("provider_refused", "no_number"):
            hint = (
                "server/.env has the provider's credentials and PHONE_NUMBERS; README.md says what "
                "goes there."
            )
        raise CallRefused(f"The call was refused: {refusal.get('message', answer.status)}", hint)
    return document


def told(context: Context, options: CallOptions, status: str, document: dict[str, Any]) -> None:
    """Tell a state of the call, as a line or as JSON."""
    if options.json:
        context.output.event({**document, "status": status})
    elif status == "placed":
        title = PHONES[document["provider"]].title
        context.output.say(f"• {title} calls {options.number}: {document['callId']}")
        context.output.note("Ctrl-C hangs up.")
    else:
        context.output.say(f"• {status}")
