"""Owns the scripts of a call: files, keys or lines, each said in its time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

from voicecore.talk.audio.clips import Clip
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.call import LineTooLong, LiveCall

_KEY_SECONDS = 0.25
"""From one key to the next, as fast as a person."""


async def speak(call: LiveCall, microphone: ScriptedMicrophone, clips: Sequence[Clip]) -> None:
    """Say each clip in turn; wait for the whole answer before the next."""
    await call.greeted()
    for clip in clips:
        call.expect()
        await microphone.say(clip)
        await call.answered()


async def press(call: LiveCall, keys: str) -> None:
    """Press keys of the telephone after the greeting, and wait for a reply."""
    await call.greeted()
    call.expect()
    for key in keys:
        call.press(key)
        await asyncio.sleep(_KEY_SECONDS)
    await call.replied()


async def write(call: LiveCall, lines: AsyncIterator[str]) -> None:
    """Send each line; wait for the whole answer before the next."""
    await call.greeted()
    async for line in lines:
        if text := _sendable(line):
            call.type(text)
            await call.answered()


def _sendable(line: str) -> str:
    """Return a typed line without NUL and halves of surrogate pairs, which no agent can speak."""
    return re.sub(r"[\0\ud800-\udfff]", "", line).strip()


async def chat(call: LiveCall, lines: AsyncIterator[str]) -> None:
    """Send each line as a person does, who may interrupt the agent; wait for the last answer."""
    awaited = False
    async for line in lines:
        await call.connected()
        if text := _sendable(line):
            try:
                call.type(text)
            except LineTooLong as error:
                call.note(f"not sent: {error.message}")
            else:
                awaited = True
    if awaited:
        await call.answered()
