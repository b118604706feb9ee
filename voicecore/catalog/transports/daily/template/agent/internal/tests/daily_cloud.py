"""A fake Daily for tests: its REST API, its rooms, and the phone network.

Errors are those that Daily documents. The library that the agent uses is faked by standin/daily.py;
the protocol between the two is not Daily's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Protocol

KEY = "the key of a domain at Daily"
HMAC = base64.b64encode(b"the secret that Daily signs with").decode()
DOMAIN = "https://lab.daily.co/"


class Participant(Protocol):
    """A caller in a room, who hears the agent and reads its messages."""

    def hear(self, sound: bytes, rate: int) -> None: ...

    def read(self, message: Any) -> None: ...


@dataclass
class Room:
    """A room, its agent, and the callers in it."""

    properties: dict[str, Any]
    callers: dict[str, Participant] = field(default_factory=dict)
    agent: Seat | None = None
    closed: bool = False


@dataclass
class Cloud:
    """The state of Daily, and the requests that it got."""

    rooms: dict[str, Room] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    held: dict[str, Participant] = field(default_factory=dict)
    """Callers who have dialed and hear music, by the ID of the call."""
    picks_up: Participant | None = None
    """The person who answers a call of the agent; None if no one does."""
    ice: Any = None
    """The TURN servers that the agent uses."""
    failing_status: int = 0
    """Status of all answers, unless 0."""
    api: str = ""
    line: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def variables(self) -> dict[str, str]:
        """The environment that uses this Daily."""
        return {"DAILY_API_KEY": KEY, "DAILY_API_URL": self.api, "DAILY_CLOUD": self.line}

    def enter(self, url: str, token: str | None, caller: Participant) -> str:
        """Admit a caller to a room; return their ID. Raises ValueError with Daily's reason."""
        room = self.room_of(url, token)
        name = secrets.token_hex(8)
        room.callers[name] = caller
        if room.agent:
            room.agent.tell("on_participant_joined", {"id": name, "info": {"isLocal": False}})
        return name

    def leave(self, url: str, name: str) -> None:
        """Remove a caller from the room."""
        room = self.rooms[url.removeprefix(DOMAIN)]
        if room.callers.pop(name, None) and room.agent:
            room.agent.tell("on_participant_left", {"id": name}, "leftCall")

    def room_of(self, url: str, token: str | None) -> Room:
        """Return the room of a valid token. Raises ValueError with Daily's reason."""
        name = url.removeprefix(DOMAIN)
        room, known = self.rooms.get(name), self.tokens.get(token or "")
        if room is None:
            raise ValueError("The meeting you're trying to join does not exist.")
        if known is None or known["room_name"] != name or known["exp"] < time.time():
            raise ValueError("You are not allowed to join this meeting.")
        return room

    def dial(self, webhook: str, caller: Participant, **call: str) -> int:
        """Hold a caller who dials, and call the webhook; return the status of its answer."""
        call = {"From": "+14155550100", "To": "+14155550123", "callDomain": "lab", **call}
        self.held[call.setdefault("callId", secrets.token_hex(16))] = caller
        body = json.dumps(call, separators=(",", ":")).encode()
        request = urllib.request.Request(webhook, body, signed(body))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def close(self, name: str) -> None:
        """Delete a room, which removes everyone in it."""
        room = self.rooms.pop(name)
        room.closed = True
        if room.agent:
            room.agent.tell("on_call_state_updated", "left")


def signed(
    body: bytes, at: float | None = None, secret: str = HMAC, unit: float = 1e-3
) -> dict[str, str]:
    """Return Daily's headers for a webhook; `at` is Unix time, sent in units of `unit` s."""
    sent = str(int((time.time() if at is None else at) / unit))
    digest = hmac.digest(base64.b64decode(secret), f"{sent}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "X-Pinless-Timestamp": sent,
        "X-Pinless-Signature": base64.b64encode(digest).decode(),
    }


class Seat(StreamRequestHandler):
    """The agent's place in a room: one connection of its library."""

    cloud: Cloud
    room: Room | None = None

    def handle(self) -> None:
        self._writing = threading.Lock()
        for line in self.rfile:
            command = json.loads(line)
            getattr(self, command.pop("do"))(**command)
        if self.room:
            self.room.agent = None

    def tell(self, event: str, *arguments: Any) -> None:
        self._write({"event": event, "arguments": arguments})

    def say(self, sound: bytes, rate: int = 16_000) -> None:
        self._write({"sound": base64.b64encode(sound).decode(), "rate": rate})

    def join(self, url: str, token: str, ice: Any) -> None:
        self.cloud.ice = ice
        try:
            self.room = room = self.cloud.room_of(url, token)
        except ValueError as error:
            self._done("join", None, str(error))
            return
        room.agent = self
        local = {"id": secrets.token_hex(8)}
        self._done("join", {"participants": {"local": local}, "meetingSession": {"id": "1"}}, None)
        for name in room.callers:
            self.tell("on_participant_joined", {"id": name})
        if "sip" in room.properties:
            self.tell("on_dialin_ready", f"sip:{url.removeprefix(DOMAIN)}@daily.example")

    def leave(self) -> None:
        if self.room:
            self.room.agent = self.room = None
        self._done("leave", None)

    def sound(self, sound: str, rate: int) -> None:
        for caller in list(self.room.callers.values()) if self.room else []:
            caller.hear(base64.b64decode(sound), rate)

    def message(self, message: Any) -> None:
        for caller in list(self.room.callers.values()) if self.room else []:
            caller.read(message)
        self._done("message", None)

    def dialout(self, settings: dict[str, str]) -> None:
        cloud, room = self.cloud, self.room
        if room is None or not room.properties.get("enable_dialout"):
            self._done("dialout", None, "dial-out is not enabled for this room")
            return
        cloud.requests.append(("DIAL", "", settings))
        self._done("dialout", "session", None)
        if cloud.picks_up is None:
            self.tell("on_dialout_error", {"sessionId": "session", "errorMsg": "no answer"})
            return
        self.tell("on_dialout_connected", {"sessionId": "session"})
        self.tell("on_dialout_answered", {"sessionId": "session"})
        room.callers["phone"] = cloud.picks_up
        self.tell("on_participant_joined", {"id": "phone"})

    def _done(self, what: str, *results: Any) -> None:
        self._write({"done": what, "results": results})

    def _write(self, line: dict[str, Any]) -> None:
        with self._writing:
            self.wfile.write(json.dumps(line).encode() + b"\n")


class Api(BaseHTTPRequestHandler):
    """Daily's REST API (docs.daily.co/reference/rest-api)."""

    cloud: Cloud

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self._answer("POST", body)

    def do_GET(self) -> None:
        self._answer("GET", {})

    def do_DELETE(self) -> None:
        self._answer("DELETE", {})

    def _answer(self, method: str, body: dict[str, Any]) -> None:
        self.cloud.requests.append((method, self.path, body))
        if self.cloud.failing_status:
            status, document = self.cloud.failing_status, {"error": "server-error"}
        elif self.headers["Authorization"] != f"Bearer {KEY}":
            status, document = 401, {"error": "authentication-error"}
        else:
            status, document = self._do(method, body)
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _do(self, method: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        cloud, name = self.cloud, self.path.rpartition("/")[2]
        match method, self.path.partition("/")[2].partition("/")[0]:
            case "POST", "rooms":
                return self._make(body)
            case "GET", "rooms" if name in cloud.rooms:
                return 200, {"name": name, "url": DOMAIN + name}
            case "DELETE", "rooms" if name in cloud.rooms:
                cloud.close(name)
                return 200, {"deleted": True, "name": name}
            case "POST", "meeting-tokens":
                token = secrets.token_urlsafe(24)
                cloud.tokens[token] = body["properties"]
                return 200, {"token": token}
            case "POST", "dialin":
                return self._put_through(body)
            case _:
                return 404, {"error": "not-found"}

    def _make(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name, properties = body["name"], body["properties"]
        if name in self.cloud.rooms:
            return refused(f"a room named {name} already exists")
        if len(name) > 41 or not set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_"):
            return refused("the room name is not valid")
        if properties.get("exp", 0) < time.time():
            return refused("exp was before the current time")
        self.cloud.rooms[name] = Room(properties)
        return 200, {"name": name, "url": DOMAIN + name, "privacy": body["privacy"]}

    def _put_through(self, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        name = body["sipUri"].removeprefix("sip:").partition("@")[0]
        room, caller = self.cloud.rooms.get(name), self.cloud.held.pop(body["callId"], None)
        if room is None or caller is None or room.agent is None:
            return refused("unknown call")
        room.callers["phone"] = caller
        room.agent.tell("on_dialin_connected", {"sessionId": "phone"})
        room.agent.tell("on_participant_joined", {"id": "phone"})
        return 200, {}

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def refused(info: str) -> tuple[int, dict[str, Any]]:
    return 400, {"error": "invalid-request-error", "info": info}


@contextmanager
def daily_cloud() -> Iterator[Cloud]:
    """Yield a fake Daily."""
    cloud = Cloud()

    class BoundSeat(Seat):
        pass

    class BoundApi(Api):
        pass

    BoundSeat.cloud = BoundApi.cloud = cloud
    ThreadingTCPServer.daemon_threads = True
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), BoundApi) as api,
        ThreadingTCPServer(("127.0.0.1", 0), BoundSeat) as line,
    ):
        cloud.api = f"http://127.0.0.1:{api.server_address[1]}"
        cloud.line = f"127.0.0.1:{line.server_address[1]}"
        for server in (api, line):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield cloud
        api.shutdown()
        line.shutdown()
