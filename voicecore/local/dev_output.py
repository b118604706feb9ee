"""Owns the output of `voicecore dev`: the live screen, plain lines, or JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from voicecore.console.output import Line, Output
from voicecore.contract import agent_log
from voicecore.local.invite_url import share_instructions
from voicecore.local.runtime import LocalRuntime
from voicecore.local.screen import event_line, is_chatter, screen
from voicecore.local.sessions.events import LogLine, RuntimeEvent

if TYPE_CHECKING:
    from voicecore.local.network.aws_host import AwsHost


@dataclass(frozen=True)
class LocalEndpoints:
    """The addresses at which a running `voicecore dev` can be reached."""

    runtime: str
    server: str
    """Empty if the project has no session server."""
    page: str | None
    """URL of the page in the browser, with an invite; None if the server has no page."""
    phones: Sequence[str]
    """Names of the phone providers that can call the agent."""
    turn: str | None
    """URI of the TURN server in front of the agent's NAT; None without --nat."""
    aws: AwsHost | None = None
    """AWS's host name at which the runtime listens, too; None without --tls."""

    @property
    def notes(self) -> list[str]:
        """Instructions to reach the runtime under AWS's name."""
        return self.aws.instructions() if self.aws else []


class DevOutput:
    """Prints events as JSON lines or plain lines; with the live screen it prints none."""

    def __init__(
        self, output: Output, *, as_json: bool, use_screen: bool, on_closed: Callable[[], object]
    ) -> None:
        self._output = output
        self._as_json = as_json
        self._use_screen = use_screen and output.live
        self._on_closed = on_closed
        self._ready = ""
        """Text of the last event `ready`."""

    def event(self, event: RuntimeEvent) -> None:
        """Print one event."""
        try:
            if self._as_json:
                self._output.event(asdict(event))
            elif not self._use_screen and self._is_news(event):
                self._output.lines([event_line(event)])
        except OSError:  # the reader has gone, as in `| head` or a closed terminal
            self._output.discard_data()
            self._on_closed()

    def _is_news(self, event: RuntimeEvent) -> bool:
        """Return whether to print an event: the spare process of a version is ready often."""
        if event.kind == "ready":
            before, self._ready = self._ready, event.text
            return before != event.text
        return event.kind != "log" or not is_chatter(LogLine(event.session_id, event.text))

    def server_lines(self, lines: Sequence[str]) -> None:
        """Print the lines of the session server's log that need attention."""
        for line in lines:
            if needs_attention(line):
                self.event(RuntimeEvent("log", line))

    def serving(self, at: LocalEndpoints, *, share: bool) -> None:
        """Print where the agent can be reached."""
        output = self._output
        if self._as_json:
            extra = {"page": at.page, "turn": at.turn, "aws_host": at.aws and at.aws.name}
            extra = {"runtime": at.runtime, "server": at.server, **extra}
            output.event({"kind": "serving", **{name: v for name, v in extra.items() if v}})
            return
        if self._use_screen:
            return
        server = f"session server {at.server}" if at.server else "without a session server"
        output.say(f"• AgentCore Runtime {at.runtime}, {server}")
        if at.page:
            output.say(f"• Talk in the browser: {at.page}")
        for name in at.phones:
            output.say(f"• Call the agent:  voicecore talk --phone {name}")
        if at.turn:
            output.say(f"• The agent is behind a symmetric NAT; TURN server: {at.turn}")
        for note in at.notes:
            output.say(f"• {note}")
        if share:
            for line in share_instructions(at.server, at.runtime):
                output.say(f"  {line}")

    def screen(self, runtime: LocalRuntime, at: LocalEndpoints) -> AbstractContextManager[None]:
        """Draw the live screen while the block runs, if there is one."""

        def draw(width: int, height: int) -> list[Line]:
            return screen(runtime.snapshot(), at.server, at.page, at.notes, width, height)

        return self._output.screen(draw) if self._use_screen else nullcontext()


def needs_attention(line: str) -> bool:
    """Return whether a line of the session server is a warning, an error or no log event."""
    event = agent_log.parse_event(line)
    return event is None or event.get("level") not in ("DEBUG", "INFO")
