"""Owns InvokeAgentRuntimeCommand: it runs a shell command beside a session's agent, streamed.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-execute-command.html
"""

from __future__ import annotations

import asyncio
import binascii
import json
import struct
from asyncio.subprocess import Process
from codecs import getincrementaldecoder
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

from aiohttp import web

from voicecore.console import json_text
from voicecore.local.api_errors import ApiError, validation_error
from voicecore.local.gateway.request import SESSION_HEADER
from voicecore.local.limits import (
    COMMAND_BYTES_MAX,
    COMMAND_SECONDS,
    COMMAND_SECONDS_MAX,
)
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.live_session import LiveSession

_PIECE = 16 * 1024
_STRING = 7  # type of a header's value: https://smithy.io/2.0/aws/amazon-eventstream.html
_READ_SECONDS = 1.0  # for the rest of the output when the command has ended


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """A shell command, and the seconds that it may take."""

    text: str
    seconds: int


def read_command(body: bytes) -> ShellCommand | ApiError:
    """Parse the body of a request; return a 400 unless AWS would run the command."""
    try:
        document: Any = json_text.parse(body)
    except ValueError:
        document = None
    fields = cast("dict[str, Any]", document if isinstance(document, dict) else {})
    text, seconds = fields.get("command"), fields.get("timeout", COMMAND_SECONDS)
    if not isinstance(text, str) or not 1 <= len(text) <= COMMAND_BYTES_MAX:
        return validation_error(
            f"Value at 'body.command' must have 1 to {COMMAND_BYTES_MAX} characters.",
            'Send {"command": "ls", "timeout": 60} as JSON.',
        )
    if type(seconds) is not int or not 1 <= seconds <= COMMAND_SECONDS_MAX:
        return validation_error(
            f"Value at 'body.timeout' must be 1 to {COMMAND_SECONDS_MAX} (whole seconds).",
            f"Omit it for {COMMAND_SECONDS} seconds.",
        )
    return ShellCommand(text, seconds)


async def stream_command(
    request: web.Request, session: LiveSession, command: ShellCommand, clock: Clock
) -> web.StreamResponse:
    """Run the command, and answer with its output as it arrives. It ends with the session."""
    response = web.StreamResponse(headers={SESSION_HEADER: session.id})
    response.content_type = "application/vnd.amazon.eventstream"

    async def send(event: Mapping[str, Any]) -> None:
        session.touch()
        await response.write(chunk(event))

    if session.agent is None:
        raise RuntimeError("a session that `obtain` returns has an agent")
    with session.request(), session.connection() as ended:
        async with session.agent.command(command.text) as process:
            await response.prepare(request)
            await send({"contentStart": {}})
            reading = [
                asyncio.create_task(_forward("stdout", process.stdout, send)),
                asyncio.create_task(_forward("stderr", process.stderr, send)),
            ]
            try:
                status = await _finish(process, ended, clock.real(command.seconds))
                await asyncio.wait(reading, timeout=_READ_SECONDS)
            finally:
                for task in reading:
                    task.cancel()
                await asyncio.gather(*reading, return_exceptions=True)
        # AWS: "-1 indicates a platform error".
        code = _exit_code(process.returncode) if status == "COMPLETED" else -1
        with suppress(ConnectionError):  # the caller has gone
            await send({"contentStop": {"exitCode": code, "status": status}})
            await response.write_eof()
    return response


async def _finish(
    process: Process, ended: asyncio.Future[Any], seconds: float
) -> Literal["COMPLETED", "TIMED_OUT"]:
    exited = asyncio.ensure_future(process.wait())
    try:
        done, _ = await asyncio.wait(
            {exited, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        exited.cancel()
    return "COMPLETED" if done else "TIMED_OUT"


async def _forward(
    name: str,
    stream: asyncio.StreamReader | None,
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    while stream and (piece := await stream.read(_PIECE)):
        if text := decoder.decode(piece):
            await send({"contentDelta": {name: text}})


def _exit_code(code: int | None) -> int:
    """Return the code as a shell reports it: 128 and the signal for a killed command."""
    if code is None:
        return -1
    return 128 - code if code < 0 else code


def chunk(event: Mapping[str, Any]) -> bytes:
    """Return an event in AWS's framing, with both its checksums."""
    fields = {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode()
        + struct.pack("!BH", _STRING, len(value)) + value.encode()
        for name, value in fields.items()
    )  # fmt: skip
    payload = json.dumps(event).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", binascii.crc32(message))
