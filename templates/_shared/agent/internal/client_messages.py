"""Owns what passes between client and pipeline: messages are checked, errors name their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipecat.frames.frames import ErrorFrame, Frame, InputTransportMessageFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi import RTVIProcessor

from . import logs
from .own_code import BOT, described, own_frames


class ClientMessages(RTVIProcessor):
    """Passes on messages that Pipecat can read; answers others with an error."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Check a message, and pass other frames on."""
        if isinstance(frame, InputTransportMessageFrame):
            frame.message = without_nul(frame.message)
            if problem := problem_of(frame.message):
                await self.send_error(problem)
                return
        if isinstance(frame, ErrorFrame) and frame.exception:
            frame.error = located(frame.error, frame.exception)
        await super().process_frame(frame, direction)


def located(text: str, error: BaseException) -> str:
    """Return an error's text with the line of the bot's code that failed, and log the traceback."""
    steps = own_frames(error)
    if not steps:
        return text
    logs.write("log", "ERROR", message=described(error, steps), logger="bot")
    place = Path(steps[-1].filename).relative_to(BOT)
    return f"{text} ({type(error).__name__} in {place}, line {steps[-1].lineno})"


def problem_of(message: Any) -> str:
    """Return why a message cannot be read; empty if it can."""
    if not isinstance(message, dict):
        return f"A message is a JSON object, not {type(message).__name__}."
    data = message.get("data")
    typed = data.get("content") if isinstance(data, dict) else None
    if message.get("type") == "send-text" and isinstance(typed, str) and not typed.strip():
        return "The typed line is empty."
    return ""


def without_nul(value: Any) -> Any:
    """Return JSON without the character NUL, which speech synthesis and models refuse."""
    if isinstance(value, dict):
        return {key: without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    return value.replace("\0", "") if isinstance(value, str) else value
