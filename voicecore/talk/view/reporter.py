"""What a person or a program sees of a call: a screen, plain lines, or one JSON event a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voicecore.console.output import Output, Render
from voicecore.talk.call import Conversation, Ending
from voicecore.talk.view import latency, screen
from voicecore.talk.view.keyboard import Prompt

_SAID = ("user_said", "agent_said", "user_spoke", "agent_spoke", "tool_call", "note", "error")
_WIDEST = 100
"""Columns: longer lines are not pleasant to read."""


class Show:
    """Shows one conversation, which is given to it once it exists.

    typing: a person types at a prompt, above which lines are printed: there is no screen.
    ice: the ways to the agent are of interest.
    """

    def __init__(
        self, output: Output, title: str, as_json: bool, typing: bool, ice: bool = False
    ) -> None:
        self._output = output
        self._called = self._title = title
        self._json, self._ice = as_json, ice
        self._status = "calling"
        self.drawn = output.live and not as_json and not typing
        self.prompt = Prompt(self._unfinished) if typing and output.live else None
        self.conversation: Conversation | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        """Show what has just happened."""
        if self.prompt:
            self.prompt.above(lambda: self._print(event))
        else:
            self._print(event)

    def _print(self, event: Mapping[str, Any]) -> None:
        if self._json:
            self._output.event(event)
        match event["event"]:
            case "connected" | "reconnected":
                self._tell("connected" if event["event"] == "connected" else "connected again")
            case "reconnecting":
                self._tell(f"connecting again: {event['reason']}")
            case "agent_hung_up":
                self._tell("the agent hung up")
            case "path":
                self._show_path(event)
            case "session_not_stopped":
                self._output.warn(
                    f"The session {event['session']} may still run: {event['reason']}"
                )
            case kind if kind in _SAID:
                self._transcribe()
            case _:
                pass

    def _show_path(self, path: Mapping[str, Any]) -> None:
        chosen = f"{path['local']} to {path['remote']}"
        self._title = f"{self._called} · {path['local'].split()[0]}"
        if self._ice and not self._json:
            for local, remote, state in path["tried"]:
                self._output.note(f"{state:>11}  {local} to {remote}")
            self._output.note(f"connected in {path['ms']:.0f} ms over {chosen}")

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
            self._output.lines(screen.utterance(said, call.dialogue.turns, self._width))

    @property
    def _width(self) -> int:
        return min(self._output.width, _WIDEST)

    def _unfinished(self) -> str:
        """What the agent has said so far, and the place to type."""
        call = self.conversation
        live = call.dialogue.live if call and not self._json else []
        said = [line for one in live for line in screen.utterance(one, (), self._width)]
        lines = ["".join(span.text for span in line) for line in said]
        return "\n".join([*lines, screen.YOU])


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
