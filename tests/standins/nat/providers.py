"""Stand-ins for the services that hand out TURN credentials: Cloudflare's and Twilio's.

Requests and answers are as their documentation has them (developers.cloudflare.com/realtime/turn/
generate-credentials; twilio.com/docs/stun-turn/api). They are reached by the real names, over TLS,
from a place of the lab; the credentials open the lab's relay.
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

from tests.standins.nat.lab import NatLab, Place

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
_CLOUDFLARE_MOST = 48 * 3600
_TWILIO_MOST = 24 * 3600

Answer = tuple[int, dict[str, Any]]


@dataclass
class Providers:
    """Both services, and what they do to those who ask."""

    net: NatLab
    _seconds: float | None = None
    _ways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _answering: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._answering.set()

    @contextmanager
    def lasting(self, seconds: float) -> Iterator[None]:
        """Gives credentials for so long, whatever was asked for; negative: they are over."""
        self._seconds = seconds
        try:
            yield
        finally:
            self._seconds = None

    @contextmanager
    def leading(self, address: str, *ways: str) -> Iterator[None]:
        """Tells whoever asks from `address` these URLs of Cloudflare's instead of its own."""
        self._ways[address] = ways
        try:
            yield
        finally:
            del self._ways[address]

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Answers nobody while the block runs."""
        self._answering.clear()
        try:
            yield
        finally:
            self._answering.set()

    @property
    def variables(self) -> dict[str, str]:
        """The agent's: good keys to both."""
        return {
            "CLOUDFLARE_TURN_KEY_ID": CLOUDFLARE_KEY,
            "CLOUDFLARE_TURN_API_TOKEN": CLOUDFLARE_TOKEN,
            "TWILIO_ACCOUNT_SID": TWILIO_SID,
            "TWILIO_AUTH_TOKEN": TWILIO_TOKEN,
        }

    @property
    def names(self) -> dict[str, str]:
        """Where their host names lead to."""
        services = dict.fromkeys(
            ("rtc.live.cloudflare.com", "api.twilio.com"), self.net.street.here
        )
        relays = ("turn.cloudflare.com", "global.turn.twilio.com")
        return services | dict.fromkeys(relays, self.net.turn.address)

    def let_know(self, place: Place) -> None:
        """Makes their names lead here, for programs at `place`."""
        place.know(self.names)

    def answer(
        self, asker: str, host: str, path: str, authorization: str, kind: str, body: str
    ) -> Answer:
        """Returns the status and the document; only once it is not `silent` any more."""
        self._answering.wait()
        if host == "rtc.live.cloudflare.com" and (found := _CLOUDFLARE.fullmatch(path)):
            return self._cloudflare(asker, found[1], authorization, kind, body)
        if host == "api.twilio.com" and (found := _TWILIO.fullmatch(path)):
            return self._twilio(found[1], authorization, kind, body)
        return 404, {"error": "not found"}

    def _cloudflare(self, asker: str, key: str, authorization: str, kind: str, body: str) -> Answer:
        if (key, authorization) != (CLOUDFLARE_KEY, f"Bearer {CLOUDFLARE_TOKEN}"):
            return 401, {"error": "Unauthorized"}
        asked = json.loads(body) if kind == "application/json" else {}
        seconds = asked.get("ttl")
        if not isinstance(seconds, int) or not 0 < seconds <= _CLOUDFLARE_MOST:
            return 400, {"error": "invalid ttl"}
        urls = self._ways.get(asker, CLOUDFLARE_URLS)
        stun = {"urls": ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"]}
        return 201, {"iceServers": [stun, {"urls": urls, **self._login(seconds)}]}

    def _twilio(self, sid: str, authorization: str, kind: str, body: str) -> Answer:
        login = base64.b64encode(f"{TWILIO_SID}:{TWILIO_TOKEN}".encode()).decode()
        if sid != TWILIO_SID or authorization != f"Basic {login}":
            more = "https://www.twilio.com/docs/errors/20003"
            return 401, {"code": 20003, "message": "Authenticate", "more_info": more, "status": 401}
        form = parse_qs(body) if kind == "application/x-www-form-urlencoded" else {}
        seconds = int(form.get("Ttl", [str(_TWILIO_MOST)])[0])
        if not 0 < seconds <= _TWILIO_MOST:
            return 400, {"code": 20001, "message": "Invalid TTL", "status": 400}
        host = "global.turn.twilio.com"
        ways = ("3478?transport=udp", "3478?transport=tcp", "443?transport=tcp")
        login_ = self._login(seconds)
        # No URI by RFC 7064, which knows no transport; but what Twilio's recorded answers have.
        stun = "stun:global.stun.twilio.com:3478?transport=udp"
        servers = [
            {"url": url, "urls": url, **login_} for url in (f"turn:{host}:{w}" for w in ways)
        ]
        return 201, {
            "account_sid": sid,
            "username": login_["username"],
            "password": login_["credential"],
            "ttl": str(seconds),
            "ice_servers": [{"url": stun, "urls": stun}, *servers],
        }

    def _login(self, seconds: float) -> dict[str, str]:
        made = self.net.login(seconds if self._seconds is None else self._seconds)
        return {"username": made.username, "credential": made.password}


@contextmanager
def providers(net: NatLab) -> Iterator[Providers]:
    """Serves both on this machine's address in the lab."""
    made = Providers(net)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            get = self.headers.get
            status, document = made.answer(
                str(self.client_address[0]),
                get("Host", ""),
                self.path,
                get("Authorization", ""),
                get("Content-Type", ""),
                body,
            )
            data = json.dumps(document).encode()
            with suppress(OSError):  # who asked is gone: that was our being silent
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer((net.street.here, 443), Handler)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.load_cert_chain(net.certificates.chain, net.certificates.key)
    server.socket = trusted.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
