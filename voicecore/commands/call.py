"""`voicecore call`: place an outbound phone call through the project's phone provider."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voicecore.catalog import phones
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.accounts import missing_variables
from voicecore.catalog.transports import BY_PHONE
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.proxies import proxy_for
from voicecore.options.call import CallOptions
from voicecore.project.dotenv import dotenv_of
from voicecore.project.invalid_setting import one_of
from voicecore.project.project import Project, load_project
from voicecore.talk import optional_deps
from voicecore.talk.target import CallTarget, ServerAccess, reach_server

if TYPE_CHECKING:
    import aiohttp

_LIVE = ("queued", "initiated", "started", "ringing", "in-progress", "answered")
"""Words of the providers for a call that is not over."""
_POLL_SECONDS = 1.0


class BadNumber(VoicecoreError):
    """The number is not a phone number."""


class NoTelephone(VoicecoreError):
    """The project, or the server, does not have this phone provider."""


class CallRefused(VoicecoreError):
    """The session server, or its provider, did not place the call."""


def run(context: Context, options: CallOptions) -> ExitCode:
    """Place the call and follow it to its end; Ctrl-C hangs up."""
    optional_deps.require_talk()
    check_number(options.number)
    root = (context.cwd / (options.project or "")).resolve()
    anywhere = options.url is not None and not (root / "voicecore.toml").exists()
    project = None if anywhere else load_project(root)
    known = project.providers if project else tuple(PHONES)
    if not known:
        raise NoTelephone(
            f"{project and project.name} has no phone provider.",
            f"Add one:  voicecore add {BY_PHONE} --provider {phones.DEFAULT}",
        )
    provider = options.provider or (known[0] if project else None)
    if provider and provider not in known:
        hint = f"Add it:  voicecore add {BY_PHONE} --provider {provider}"
        raise NoTelephone(
            f"Provider {provider!r} is not available{one_of(known)}.",
            hint if provider in PHONES else None,
            ExitCode.USAGE,
        )
    if project and provider and not options.url:
        _require_account(context, project, provider)
    question = f"Let the agent call {options.number}?"
    again = typed("call", options)
    confirm(context, options, question, "no call was placed", again)
    target = CallTarget(options.api_key_env, again, url=options.url)

    async def place() -> ExitCode:
        async with reach_server(context, project, target) as server:
            return await follow(context, options, server, provider)

    return asyncio.run(place())


def check_number(number: str) -> None:
    """Raise BadNumber unless it is an E.164 number, however it is spaced."""
    digits = re.sub(r"[ ().-]", "", number)
    if re.fullmatch(r"\+[1-9][0-9]{6,14}", digits):
        return
    if not re.fullmatch(r"[0-9]{7,15}", digits):
        raise BadNumber(
            f"{number!r} is not a phone number.",
            "Write it like this:  voicecore call +14155550100",
            ExitCode.USAGE,
        )
    # 00 is how most of the world dials abroad; ten digits are how North America writes a number.
    code = "1" if len(digits) == 10 else ""
    raise BadNumber(
        f"{number!r} has no country code, so another country's phone could ring.",
        "Begin with + and the country code, such as +1 in the United States:  "
        f"voicecore call +{code}{digits.lstrip('0')}",
        ExitCode.USAGE,
    )


def _require_account(context: Context, project: Project, provider: str) -> None:
    """Raise NoTelephone if `voicecore dev` would make up the account, which places no calls."""
    variables = {**context.env, **dotenv_of(project.server)}
    if missing := missing_variables(provider, variables, to_call=True):
        raise NoTelephone(
            f"server/.env lacks {', '.join(missing)}. Without them, `voicecore dev` makes up an "
            f"account at {PHONES[provider].title}, which places no calls.",
            "Set them; server/README.md says where they are. Without an account you can call the "
            f"agent:  voicecore talk --phone {provider}",
        )


async def follow(
    context: Context, options: CallOptions, server: ServerAccess, provider: str | None
) -> ExitCode:
    """Place the call and report each of its states. Raises CallRefused."""
    import aiohttp

    from voicecore.talk.no_answer import why_no_answer
    from voicecore.talk.session_client import START_OWN

    try:
        return await _place(context, options, server, provider)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason, advice = why_no_answer(error, server.url, START_OWN)
        raise CallRefused(f"The request to {server.url} failed: {reason}.", advice) from error


async def _place(
    context: Context, options: CallOptions, server: ServerAccess, provider: str | None
) -> ExitCode:
    import aiohttp

    request = {"to": options.number, **({"provider": provider} if provider else {})}
    headers = {"Authorization": f"Bearer {server.key}"}
    async with aiohttp.ClientSession(
        server.url, headers=headers, proxy=proxy_for(server.url)
    ) as http:
        placed = await ask(http, "POST", "/phone/calls", request, ("callId", "provider"))
        report(context, options, "placed", placed)
        path = (
            f"/phone/calls/{quote(placed['callId'], safe='')}?provider={quote(placed['provider'])}"
        )
        try:
            return await _watch(context, options, http, path)
        except asyncio.CancelledError:
            await ask(http, "DELETE", path)
            raise


async def _watch(
    context: Context, options: CallOptions, http: aiohttp.ClientSession, path: str
) -> ExitCode:
    before = ""
    while True:
        state = await ask(http, "GET", path, fields=("status",))
        status = state["status"]
        if status != before:
            report(context, options, status, state)
        if status not in _LIVE:
            return ExitCode.OK if status == "completed" else ExitCode.FAILED
        before = status
        await asyncio.sleep(_POLL_SECONDS)


async def ask(
    http: aiohttp.ClientSession,
    method: str,
    path: str,
    body: dict[str, str] | None = None,
    fields: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the session server's answer, which has these fields.

    Raises CallRefused, and aiohttp's errors.
    """
    from yarl import URL

    from voicecore.talk.session_client import code_of, detail_of, document_of

    # Some providers put colons into IDs: they must stay as they are written.
    async with http.request(method, URL(path, encoded=True), json=body) as answer:
        document = await document_of(answer)
    if answer.status >= 400:
        hint = None
        if code_of(document) in ("provider_refused", "no_number"):
            hint = (
                "Check the provider's credentials and PHONE_NUMBERS in server/.env; "
                "server/README.md lists them."
            )
        raise CallRefused(f"The call was refused: {detail_of(document) or answer.status}", hint)
    if missing := [field for field in fields if not isinstance(document.get(field), str)]:
        raise CallRefused(f"The answer of the session server lacks {' and '.join(missing)}.")
    return document


def report(context: Context, options: CallOptions, status: str, document: dict[str, Any]) -> None:
    """Report a state of the call, as a line or as JSON."""
    if options.json:
        context.output.event({**document, "status": status})
    elif status == "placed":
        phone = PHONES.get(document["provider"])
        title = phone.title if phone else document["provider"]
        context.output.say(f"• {title} calls {options.number}: {document['callId']}")
        context.output.note("Ctrl-C hangs up.")
    else:
        context.output.say(f"• {status}")
