"""What a person or a program sees of a call: a screen, plain lines, or one JSON event a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voicecore.output import Output, Render
from voicecore.talk import latency, screen
from voicecore.talk.conversation import Conversation, Ending

_SAID = ("user_said", "agent_said", "tool_call", "error")
_PLAIN_WIDTH = 100


class Show:
    """Shows one conversation, which is given to it once it exists.

    echoed: the terminal shows what is typed, so that there is neither room nor need for a screen.
    """

    def __init__(self, output: Output, title: str, as_json: bool, echoed: bool) -> None:
        self._output, self._title = output, title
        self._json, self._echoed = as_json, echoed
        self._status = "calling"
        self.drawn = output.live and not as_json and not echoed
        self.conversation: Conversation | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        """Show what has just happened."""
        if self._json:
            self._output.event(event)
        match event["event"]:
            case "connected" | "reconnected":
                self._tell("connected" if event["event"] == "connected" else "connected again")
            case "reconnecting":
                self._tell(f"connecting again: {event['reason']}")
            case "agent_hung_up":
                self._tell("the agent hung up")
            case "session_not_stopped":
                self._output.warn(
                    f"The session {event['session']} may still run: {event['reason']}"
                )
            case kind if kind in _SAID and not (self._echoed and kind == "user_said"):
                self._transcribe()
            case _:
                pass

    def picture(self, hint: str) -> Render:
        """The function that draws the screen."""

        def render(width: int, height: int) -> list[screen.Line]:
            call = self.conversation
            return screen.render(
                screen.View(
                    title=self._title,
                    status=self._status,
                    seconds=call.seconds if call else 0,
                    user_levels=list(call.user_levels) if call else (),
                    agent_levels=list(call.agent_levels) if call else (),
                    said=[*call.dialogue.lines, *call.dialogue.live] if call else (),
                    turns=call.dialogue.turns if call else (),
                    hint=hint,
                ),
                width,
                height,
            )

        return render

    def end(self, ending: Ending, files: Sequence[Path]) -> None:
        """Sum up: turns, latencies, duration, and the files there are now."""
        call = self.conversation
        if call is None:
            return
        totals = latency.totals(call.dialogue.turns)
        if self._json:
            self._output.event(
                {
                    "event": "ended",
                    "by": ending.name.lower(),
                    "seconds": round(call.seconds, 1),
                    "turns": totals.turns,
                    "median_ms": _rounded(totals.median_ms),
                    "worst_ms": _rounded(totals.worst_ms),
                    "files": [str(path) for path in files],
                }
            )
            return
        self._output.say(f"{screen.summary(totals)} · {screen.clock(call.seconds)}")
        for path in files:
            self._output.note(f"saved {path}")

    def _tell(self, status: str) -> None:
        self._status = status
        if not self.drawn and not self._json:
            self._output.note(status)

    def _transcribe(self) -> None:
        call = self.conversation
        if call and not self.drawn and not self._json:
            said = call.dialogue.lines[-1]
            self._output.lines(screen.utterance(said, call.dialogue.turns, _PLAIN_WIDTH))


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
