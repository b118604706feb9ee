"""What the parts of the stand-in share: its time, settings, callers, state, and each other."""

from __future__ import annotations

import io
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from tests.lab.aws.clock import NONE, Clock, Durations
from tests.lab.aws.faults import Faults
from tests.lab.aws.journal import Journal
from tests.lab.aws.wire import Request, Response

ACCOUNT = "123456789012"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Caller:
    """An identity whose keys the stand-in accepts."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    account: str
    arn: str
    user_id: str

    def environment(self) -> dict[str, str]:
        """The variables by which any SDK takes these keys."""
        keys = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        return keys | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})


def new_caller(account: str, user: str = "developer", temporary: bool = True) -> Caller:
    """Fresh keys in AWS's shapes; `temporary` ones come with a session token, and can expire."""
    kind, arn = ("ASIA", f"arn:aws:sts::{account}:assumed-role/{user}/session")
    if not temporary:
        kind, arn = ("AKIA", f"arn:aws:iam::{account}:user/{user}")
    key = kind + "".join(secrets.choice(_ALPHABET) for _ in range(16))
    user_id = "AROA" + "".join(secrets.choice(_ALPHABET) for _ in range(17)) + ":session"
    token = secrets.token_urlsafe(120) if temporary else None
    return Caller(key, secrets.token_urlsafe(30), token, account, arn, user_id)


@dataclass(frozen=True)
class Call:
    """One operation asked for, with its checked parameters."""

    service: str
    operation: str
    params: dict[str, Any]
    region: str
    caller: Caller
    by: str  # "client", or the service that calls on the caller's behalf
    moto: Callable[[], dict[str, Any]]  # what moto answers to this request

    @property
    def account(self) -> str:
        return self.caller.account

    @property
    def place(self) -> tuple[str, str]:
        """Where regional state is kept."""
        return self.caller.account, self.region


Handler = Callable[["World", Call], dict[str, Any]]


@dataclass
class World:
    """The state of everything that is not moto's."""

    durations: Durations = NONE
    clock: Clock = field(default_factory=Clock)
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    callers: dict[str, Caller] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    state: dict[tuple[str, ...], Any] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)
    bugs: list[BaseException] = field(default_factory=list)  # of the stand-in itself
    handle: Callable[[Request, str, Caller], Response | None] = field(init=False)
    _clients: dict[tuple[str, str, str, str], Any] = field(default_factory=dict)

    def of(self, make: Callable[[], Any], *key: str) -> Any:
        """The state kept under the key, made at first sight."""
        with self.lock:
            if key not in self.state:
                self.state[key] = make()
            return self.state[key]

    def every(self, kind: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        """All state of a kind: of every account and region."""
        with self.lock:
            found = [(key[1:], value) for key, value in self.state.items() if key[0] == kind]
        return iter(found)

    def client(self, service: str, region: str, caller: Caller, by: str) -> Any:
        """A boto3 client whose requests are handled here, without a connection."""
        key = (service, region, caller.access_key_id, by)
        with self.lock:
            if key not in self._clients:
                self._clients[key] = self._new_client(service, region, caller, by)
            return self._clients[key]

    def _new_client(self, service: str, region: str, caller: Caller, by: str) -> Any:
        client = _session().create_client(
            service,
            region_name=region,
            aws_access_key_id=caller.access_key_id,
            aws_secret_access_key=caller.secret_access_key,
            aws_session_token=caller.session_token,
            endpoint_url="http://stand-in",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

        def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
            answer = self.handle(_request_of(request), by, caller)
            assert answer is not None, "a call within the stand-in was reset"
            return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.body))

        client.meta.events.register("before-send", send)
        return client

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        thread.start()
        return thread


_SESSION: list[botocore.session.Session] = []


def _session() -> botocore.session.Session:
    # One for all: it caches the services' models, which are slow to read. It reads no
    # configuration: what the tests' environment says must not reach the stand-in.
    if not _SESSION:
        session = botocore.session.Session({"config_file": (None, None, "/dev/null", None)})
        session.set_config_variable("ignore_configured_endpoint_urls", True)
        _SESSION.append(session)
    return _SESSION[0]


def _request_of(request: AWSPreparedRequest) -> Request:
    url = urlsplit(request.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    data = body.encode() if isinstance(body, str) else bytes(body)
    return Request(request.method, url.path or "/", url.query, headers, data)


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()
