"""Owns the `voicecore dev` that a call starts for itself, and what of its output the user sees."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Output
from voicecore.contract.agent_log import json_fields
from voicecore.local.processes import dev_state
from voicecore.local.processes.child import Child, Reaper
from voicecore.local.processes.crash_reason import last_error
from voicecore.local.processes.dev_state import DevState
from voicecore.project.project import Project

_LINES_KEPT = 200


class AgentNotStarted(VoicecoreError):
    """The `voicecore dev` started for this call ended before its agent was ready."""


@asynccontextmanager
async def started_dev(context: Context, project: Project) -> AsyncGenerator[DevState]:
    """Run `voicecore dev` while the block runs. Raises AgentNotStarted."""
    lines: list[str] = []
    startup = StartupLines(context.output)

    def receive(new: list[str]) -> None:
        lines.extend(new)
        del lines[:-_LINES_KEPT]
        for line in new:
            startup.tell(line)

    argv = [sys.executable, "-m", "voicecore", "dev", "--json", "--project", str(project.root)]
    async with Reaper() as reaper:
        child = await Child.start(argv, context.cwd, context.env, reaper, receive)
        try:
            with context.output.step("Starting the agent"):
                ready = await _ready(child, project, lines)
            yield ready
        finally:
            await child.stop()


class StartupLines:
    """Tells what `voicecore dev` prints until its agent is ready, or has failed.

    Later lines are of the call, which shows its own, and of the spare agent for the next one.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._over = False

    def tell(self, line: str) -> None:
        """Show a progress line, or the agent's own warning."""
        if self._over:
            return
        event = json_fields(line)
        self._over = event.get("kind") in ("ready", "failed")
        logged = json_fields(str(event.get("text", "")))
        if line.startswith("• "):
            self._output.note(line)
        elif logged.get("level") == "WARNING":
            self._output.warn(str(logged.get("message")))


async def _ready(child: Child, project: Project, lines: list[str]) -> DevState:
    """Wait until a started `voicecore dev` is ready. Raises AgentNotStarted."""
    while (state := dev_state.read_state(project.local)) is None or state.pid != child.pid:
        # `voicecore dev` has its own time limits: if the agent does not start, it ends.
        await asyncio.wait({child.exited}, timeout=0.05)
        if child.exited.done():
            await child.output_read()
            raise _not_started(lines, project)
    return state


def _not_started(lines: list[str], project: Project) -> AgentNotStarted:
    """Return the error that `voicecore dev` printed, or the end of its last traceback."""
    for line in reversed(lines):
        if line.startswith('{"error"'):
            error = json.loads(line)["error"]
            return AgentNotStarted(error["message"], error["hint"], ExitCode(error["exit_code"]))
    return AgentNotStarted(
        f"The agent did not start: {last_error(lines)}",
        f"Logs: {project.local / 'logs'}\nWatch it start:  voicecore dev",
    )
