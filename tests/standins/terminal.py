"""Owns a terminal as a person sees it: tmux draws the output of a program and sends keys to it.

Bytes on a pseudo-terminal are not enough: prompts redraw only the characters that change.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.requirements import require

_NUMBERS = itertools.count()
_RUN = """
trap : INT  # Ctrl-C is for the program
before=$(stty -g); "$@"; code=$?
[ "$before" = "$(stty -g)" ] && state=restored || state=changed
echo "[ended with $code, $state]"; exec sleep 600
"""


@dataclass(frozen=True)
class Terminal:
    """A running program in a terminal of its own, which no other program can reach."""

    server: str

    @staticmethod
    @contextmanager
    def running(
        argv: list[str], folder: Path, env: Mapping[str, str], width: int = 80, height: int = 24
    ) -> Iterator[Terminal]:
        """Run the program in a terminal while the block runs."""
        require("tmux")
        terminal = Terminal(f"voicecore-{os.getpid()}-{next(_NUMBERS)}")
        size = ["-x", str(width), "-y", str(height), "-c", str(folder)]
        command = ["sh", "-c", _RUN, "sh", *argv]
        environment = {**os.environ, **env, "LC_ALL": "C.UTF-8"}
        terminal._tmux("-f", "/dev/null", "new-session", "-d", *size, *command, env=environment)
        try:
            yield terminal
        finally:
            terminal._tmux("kill-server")

    def _tmux(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        argv = ["tmux", "-u", "-L", self.server, *arguments]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout

    def screen(self, *flags: str) -> str:
        """Return the visible text, without the empty lines at the end.

        -e keeps colors as escape codes; -J joins the rows that the terminal has broken.
        """
        return self._tmux("capture-pane", "-p", *flags).rstrip()

    @property
    def cursor_visible(self) -> bool:
        return self._tmux("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def shows(self, *texts: str, top: str = "", seconds: float = 120) -> str:
        """Wait until the screen shows all of these and begins with `top`; return it."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if screen.startswith(top) and all(text in screen for text in texts):
                return screen
            assert time.monotonic() < deadline, f"not on the screen: {top}, {texts}\n{screen}"
            time.sleep(0.05)

    def types(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def presses(self, *keys: str) -> None:
        """Press keys by tmux's names: Enter, Up, C-c."""
        self._tmux("send-keys", *keys)

    def resizes(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def ends(self) -> int:
        """Wait for the end; return the exit code. The terminal must be restored."""
        screen = self.shows("[ended with")
        ending = re.search(r"\[ended with (\d+), (\w+)\]", screen)
        assert ending is not None
        assert ending[2] == "restored"
        assert self.cursor_visible
        return int(ending[1])
