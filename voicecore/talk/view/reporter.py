"""Owns what a person or a program sees of a call: a screen, plain lines, or JSON events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicecore.console.output import Output, Render
from voicecore.talk.call import LiveCall
from voicecore.talk.channel import Connected, Disconnected, HungUp, IcePath, Note
from voicecore.talk.events import (
    AgentSaid,
    AgentSpoke,
    CallEnded,
    CallEvent,
    EndedBy,
    KeyPressed,
    SessionNotStopped,
    TurnMeasured,
    UserSaid,
    UserSpoke,
)
from voicecore.talk.transports import rtvi
from voicecore.talk.view import latency, screen
from voicecore.talk.view.event_json import event_json
from voicecore.talk.view.keyboard import Prompt

_WIDEST = 100
"""Columns; longer lines are hard to read."""


class Reporter:
    """Shows one call, which is set once it exists.

    typing: the user types at a prompt; lines are printed above it, without a screen.
    show_ice: print the paths to the agent that were tried.
    """

    def __init__(
        self, output: Output, title: str, as_json: bool, typing: bool, show_ice: bool = False
    ) -> None:
        self._output = output
        self._target = self._title = title
        self._json, self._show_ice = as_json, show_ice
        self._status = "calling"
        self.drawn = output.live and not as_json and not typing
        self.prompt = Prompt(self._unfinished) if typing and output.live else None
        self.call: LiveCall | None = None

    def show(self, event: CallEvent, at: float | None) -> None:
        """Show what has just happened, `at` seconds into the call; None after its end."""
        if self.prompt:
            self.prompt.above(lambda: self._print(event, at))
        else:
            self._print(event, at)

    def _print(self, event: CallEvent, at: float | None) -> None:
        if self._json:
            time = {} if at is None else {"time": round(at, 3)}
            self._output.event({**time, **event_json(event)})
        match event:
            case Connected(resumed):
                self._set_status("reconnected" if resumed else "connected")
            case Disconnected(reason):
                self._set_status(f"reconnecting: {reason}")
            case HungUp():
                self._set_status("the agent hung up")
            case IcePath():
                self._print_path(event)
            case SessionNotStopped(session, reason):
                self._output.warn(f"Session {session} may still be running: {reason}")
            case (
                UserSaid()
                | AgentSaid()
                | UserSpoke()
                | AgentSpoke()
                | rtvi.ToolCall()
                | rtvi.AgentError()
                | rtvi.Sound()
                | KeyPressed()
                | Note()
            ):
                self._print_utterance()
            case TurnMeasured() | CallEnded():
                pass

    def _print_path(self, path: IcePath) -> None:
        self._title = f"{self._target} · {path.local.split()[0]}"
        if self._show_ice and not self._json:
            for local, remote, state in path.tried:
                self._output.note(f"{state:>11}  {local} to {remote}")
            self._output.note(f"connected in {path.ms:.0f} ms over {path.local} to {path.remote}")

    def picture(self, hint: str) -> Render:
        """Return the function that draws the screen."""

        def render(width: int, height: int) -> list[screen.Line]:
            call = self.call
            view = screen.CallView(
                title=self._title,
                status=self._status,
                seconds=call.seconds if call else 0,
                user_levels=list(call.user_levels) if call else (),
                agent_levels=list(call.agent_levels) if call else (),
                said=[*call.transcript.utterances, *call.transcript.live] if call else (),
                turns=call.transcript.turns if call else (),
                hint=hint,
            )
            return screen.render(view, width, height)

        return render

    def end(self, by: EndedBy, files: Sequence[Path]) -> None:
        """Sum up the call: turns, latencies, duration, and the files that were written."""
        call = self.call
        if call is None:
            return
        ended = CallEnded(by, call.seconds, latency.totals_of(call.transcript.turns), files)
        if self._json:
            self._output.event(event_json(ended))
            return
        self._output.say(f"{screen.summary(ended.totals)} · {screen.clock(ended.seconds)}")
        for path in files:
            self._output.note(f"saved {path}")

    def _set_status(self, status: str) -> None:
        self._status = status
        if not self.drawn and not self._json:
            self._output.note(status)

    def _print_utterance(self) -> None:
        call = self.call
        if call and not self.drawn and not self._json:
            said = call.transcript.utterances[-1]
            self._output.lines(screen.utterance(said, call.transcript.turns, self._width))

    @property
    def _width(self) -> int:
        return min(self._output.width, _WIDEST)

    def _unfinished(self) -> str:
        """Return what the agent has said so far, and the prompt to type at."""
        call = self.call
        live = call.transcript.live if call and not self._json else []
        rows = [row for said in live for row in screen.utterance(said, (), self._width)]
        lines = ["".join(span.text for span in row) for row in rows]
        return "\n".join([*lines, screen.YOU])
