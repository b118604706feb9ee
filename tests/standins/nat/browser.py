"""Owns Chromium as a caller behind the client's NAT, with a file as its microphone.

The page and the session server share one origin, as behind an application's own server.
"""

from __future__ import annotations

import array
import json
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.generated.projects import SECRET
from tests.requirements import require
from tests.standins.nat.lab import NatLab
from tests.standins.nat.tone import tone

PAGE = Path(__file__).with_name("browser.html")
RATE = 16_000
_BEFORE = 2.0  # seconds of silence, during which it connects
_TIMEOUT = 300.0


@dataclass
class _Origin:
    """The session server behind the page's origin, and the result that the page posted."""

    server: str
    result: dict[str, Any] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)


def browse(
    net: NatLab, server: str, folder: Path, seconds: float
) -> tuple[list[dict[str, Any]], bytes]:
    """Call the agent of the session server, play a tone, and return what happened.

    Returns the page's events, and the sound that it received: 16-bit mono PCM at RATE.
    """
    require("chromium")
    microphone = folder / "microphone.wav"
    with wave.open(str(microphone), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        silence = bytes(2 * 48_000)
        file.writeframes(silence * round(_BEFORE) + tone(seconds, 48_000) + silence * 10)
    origin = _Origin(server)
    with _served(net.public.gateway, origin) as url:
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--autoplay-policy=no-user-gesture-required", "--no-first-run",
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
            f"--unsafely-treat-insecure-origin-as-secure={url}",
            f"--user-data-dir={folder / 'profile'}",
            # Chromium appends a dot to a relay's name, which hosts files do not have.
            f"--host-resolver-rules=MAP turn.cloudflare.com. {net.turn.address}",
        ]  # fmt: skip
        page = f"{url}/?seconds={_BEFORE + 2 * seconds + 1}"
        with (
            (folder / "chromium.log").open("wb") as log,
            net.client.started("chromium", *flags, page, stdout=log, stderr=log),
        ):
            assert origin.done.wait(_TIMEOUT), (folder / "chromium.log").read_text()[-3000:]
    return origin.result["events"], array.array("h", origin.result["pcm"]).tobytes()


@contextmanager
def _served(host: str, origin: _Origin) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(
                200, "text/html", PAGE.read_bytes() if self.path != "/favicon.ico" else b""
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/result":
                origin.result = json.loads(body)
                self._answer(200, "application/json", b"{}")
                origin.done.set()
                return
            headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
            request = Request(origin.server + self.path, body, headers, method=self.command)
            try:
                with urlopen(request, timeout=_TIMEOUT) as answer:
                    self._answer(answer.status, "application/json", answer.read())
            except HTTPError as error:
                self._answer(error.code, "application/json", error.read())

        do_PATCH = do_POST

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
