"""Owns what the client's messages may contain before Pipecat reads them."""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import Frame, InputTransportMessageFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi import RTVIProcessor


class ClientMessages(RTVIProcessor):
    """Passes on messages that Pipecat can read; answers others with an error."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Check a message, and pass other frames on."""
        if isinstance(frame, InputTransportMessageFrame):
            frame.message = without_nul(frame.message)
            if problem := problem_of(frame.message):
                await self.send_error(problem)
                return
        await super().process_frame(frame, direction)


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
