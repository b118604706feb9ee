"""Owns stand-ins for the TURN credential services of Cloudflare and Twilio.

Requests and answers follow their documentation (developers.cloudflare.com/realtime/turn/
generate-credentials; twilio.com/docs/stun-turn/api). Programs in the lab reach them by their real
names, over TLS; the lab's relay accepts the credentials.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.standins.nat.lab import NatLab, Side

CLOUDFLARE_KEY, CLOUDFLARE_TOKEN = "0123456789abcdef0123456789abcdef", "cloudflare's token"
TWILIO_SID, TWILIO_TOKEN = "AC" + "0123456789abcdef" * 2, "twilio's token"

CLOUDFLARE_URLS = (
    "turn:turn.cloudflare.com:3478?transport=udp",
    "turn:turn.cloudflare.com:53?transport=udp",
    "turn:turn.cloudflare.com:3478?transport=tcp",
    "turns:turn.cloudflare.com:5349?transport=tcp",
    "turns:turn.cloudflare.com:443?transport=tcp",
)

_CLOUDFLARE = re.compile(r"/v1/turn/keys/(\w+)/credentials/generate-ice-servers")
_TWILIO = re.compile(r"/2010-04-01/Accounts/(\w+)/Tokens\.json")
_CLOUDFLARE_MAX = 48 * 3600
_TWILIO_MAX = 24 * 3600

Answer = tuple[int, dict[str, Any]]


@dataclass
class TurnProviders:
    """Both services, and their misbehavior."""

    net: NatLab
    _seconds: float | None = None
    _urls: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _answering: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._answering.set()

    @contextmanager
    def with_lifetime(self, seconds: float) -> Iterator[None]:
        """Issue credentials for `seconds`, whatever is requested; negative: already expired."""
        self._seconds = seconds
        try:
            yield
        finally:
            self._seconds = None

    @contextmanager
    def with_urls(self, address: str, *urls: str) -> Iterator[None]:
        """Answer clients at `address` with these URLs instead of Cloudflare's own."""
        self._urls[address] = urls
        try:
            yield
        finally:
            del self._urls[address]

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Do not answer while the block runs."""
        self._answering.clear()
        try:
            yield
        finally:
            self._answering.set()

    @property
    def variables(self) -> dict[str, str]:
        """Variables of the agent: valid keys to both services."""
        return {
            "CLOUDFLARE_TURN_KEY_ID": CLOUDFLARE_KEY,
            "CLOUDFLARE_TURN_API_TOKEN": CLOUDFLARE_TOKEN,
            "TWILIO_ACCOUNT_SID": TWILIO_SID,
            "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
        }

    @property
    def names(self) -> dict[str, str]:
        """Addresses of the services' host names."""
        services = ("rtc.live.cloudflare.com", "api.twilio.com")
        relays = ("turn.cloudflare.com", "global.turn.twilio.com")
        return {
            **dict.fromkeys(services, self.net.public.gateway),
            **dict.fromkeys(relays, self.net.turn.address),
        }

    def resolve_on(self, side: Side) -> None:
        """Resolve their host names to the lab, for programs on `side`."""
        side.resolve(self.names)

    def answer(
        self, client: str, host: str, path: str, authorization: str, kind: str, body: str
    ) -> Answer:
        """Return the status and the document; wait while the services are silent."""
        self._answering.wait()
        if host == "rtc.live.cloudflare.com" and (found := _CLOUDFLARE.fullmatch(path)):
            return self._cloudflare(client, found[1], authorization, kind, body)
        if host == "api.twilio.com" and (found := _TWILIO.fullmatch(path)):
            return self._twilio(found[1], authorization, kind, body)
        return 404, {"error": "not found"}

    def _cloudflare(
        self, client: str, key: str, authorization: str, kind: str, body: str
    ) -> Answer:
        if (key, authorization) != (CLOUDFLARE_KEY, f"Bearer {CLOUDFLARE_TOKEN}"):
            return 401, {"error": "Unauthorized"}
        asked = json.loads(body) if kind == "application/json" else {}
        seconds = asked.get("ttl")
        if not isinstance(seconds, int) or not 0 < seconds <= _CLOUDFLARE_MAX:
            return 400, {"error": "invalid ttl"}
        urls = self._urls.get(client, CLOUDFLARE_URLS)
        stun = {"urls": ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"]}
        return 201, {"iceServers": [stun, {"urls": urls, **self._credentials(seconds)}]}

    def _twilio(self, sid: str, authorization: str, kind: str, body: str) -> Answer:
        basic = base64.b64encode(f"{TWILIO_SID}:{TWILIO_TOKEN}".encode()).decode()
        if sid != TWILIO_SID or authorization != f"Basic {basic}":
            more = "https://www.twilio.com/docs/errors/20003"
            return 401, {"code": 20003, "message": "Authenticate", "more_info": more, "status": 401}
        form = parse_qs(body) if kind == "application/x-www-form-urlencoded" else {}
        seconds = int(form.get("Ttl", [str(_TWILIO_MAX)])[0])
        if not 0 < seconds <= _TWILIO_MAX:
            return 400, {"code": 20001, "message": "Invalid TTL", "status": 400}
        host = "global.turn.twilio.com"
        suffixes = ("3478?transport=udp", "3478?transport=tcp", "443?transport=tcp")
        given = self._credentials(seconds)
        # Not a valid STUN URI (RFC 7064 has no transport), but as in Twilio's recorded answers.
        stun = "stun:global.stun.twilio.com:3478?transport=udp"
        servers = [
            {"url": url, "urls": url, **given}
            for url in (f"turn:{host}:{suffix}" for suffix in suffixes)
        ]
        return 201, {
            "account_sid": sid,
            "username": given["username"],
            "password": given["credential"],
            "ttl": str(seconds),
            "ice_servers": [{"url": stun, "urls": stun}, *servers],
        }

    def _credentials(self, seconds: float) -> dict[str, str]:
        given = self.net.credentials(seconds if self._seconds is None else self._seconds)
        return {"username": given.username, "credential": given.password}


@contextmanager
def turn_providers(net: NatLab) -> Iterator[TurnProviders]:
    """Serve both on this machine's address in the lab."""
    services = TurnProviders(net)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            get = self.headers.get
            status, document = services.answer(
                str(self.client_address[0]),
                get("Host", ""),
                self.path,
                get("Authorization", ""),
                get("Content-Type", ""),
                body,
            )
            data = json.dumps(document).encode()
            with suppress(OSError):  # the client has gone, because we were silent
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((net.public.gateway, 443), Handler)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.load_cert_chain(net.certificates.chain, net.certificates.key)
    server.socket = trusted.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield services
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
