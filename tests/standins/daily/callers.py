"""Owns callers that join rooms of the Daily stand-in through Daily's library, as an agent does.

The stand-ins are those of every generated project, from voicecore/catalog/transports/daily.
"""

from __future__ import annotations

import base64
import importlib.util
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingTCPServer
from types import ModuleType
from typing import Any, cast

_TEMPLATE = Path(__file__).parents[3] / "voicecore/catalog/transports/daily/template"
STAND_INS = _TEMPLATE / "agent/internal/tests"


def load_standin(name: str) -> ModuleType:
    """Import the stand-in `name`.py under a unique module name."""
    spec = importlib.util.spec_from_file_location(
        f"standin_{secrets.token_hex(4)}", STAND_INS / f"{name}.py"
    )
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def caller_server(daily_cloud: ModuleType, cloud: Any) -> Iterator[str]:
    """Yield the address, for DAILY_CLOUD, at which the library of callers finds `cloud`."""

    class Caller(daily_cloud.Seat):
        """A caller in a room: one connection of the library."""

        name = url = ""

        def handle(self) -> None:
            super().handle()
            self._go()

        def join(self, url: str, token: str, ice: Any) -> None:
            try:
                self.place = cloud.room_of(url, token)
            except ValueError as error:
                self._done("join", None, str(error))
                return
            self.url = url
            self._done("join", {"participants": {}}, None)
            self.name = cloud.enter(url, token, self)
            microphone = {"microphone": {"state": "playable"}}
            agent = {"id": "agent", "info": {"isLocal": False}, "media": microphone}
            self.tell("on_participant_updated", agent)

        def leave(self) -> None:
            self._go()
            self._done("leave", None)

        def sound(self, sound: str, rate: int) -> None:
            if self.name and self.place.agent:
                self.place.agent.say(base64.b64decode(sound), rate)

        def message(self, message: Any) -> None:
            if self.place.agent:
                self.place.agent.tell("on_app_message", message, self.name)
            self._done("message", None)

        def hear(self, sound: bytes, rate: int) -> None:
            self.say(sound, rate)

        def read(self, message: Any) -> None:
            self.tell("on_app_message", message, "agent")

        def _go(self) -> None:
            if self.name and not self.place.closed:
                cloud.leave(self.url, self.name)
            self.name = ""

    with ThreadingTCPServer(("127.0.0.1", 0), cast(Any, Caller)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
