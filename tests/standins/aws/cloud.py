"""Owns the simulated cloud that all services share: clock, callers, faults, journal and state."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.standins.aws.clock import NONE, Clock, Durations
from tests.standins.aws.faults import Faults
from tests.standins.aws.http.operations import Request, Response
from tests.standins.aws.internal_client import InternalClient
from tests.standins.aws.journal import Journal

ACCOUNT = "123456789012"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Caller:
    """An identity whose credentials the stand-in accepts."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    account: str
    arn: str
    user_id: str

    @property
    def partition(self) -> str:
        """The first part of the account's ARNs, as in AWS: an account is in one partition."""
        return self.arn.split(":")[1]

    @property
    def home_region(self) -> str:
        """The region of global services, as IAM."""
        return {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1"}[self.partition]

    def environment(self) -> dict[str, str]:
        """Return the environment variables with these credentials."""
        keys = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        return keys | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})


def new_caller(
    account: str, user: str = "developer", temporary: bool = True, partition: str = "aws"
) -> Caller:
    """Return new credentials in AWS's format; `temporary` ones have a session token and expire."""
    kind, arn = ("ASIA", f"arn:{partition}:sts::{account}:assumed-role/{user}/session")
    if not temporary:
        kind, arn = ("AKIA", f"arn:{partition}:iam::{account}:user/{user}")
    key = kind + "".join(secrets.choice(_ALPHABET) for _ in range(16))
    user_id = "AROA" + "".join(secrets.choice(_ALPHABET) for _ in range(17)) + ":session"
    token = secrets.token_urlsafe(120) if temporary else None
    return Caller(key, secrets.token_urlsafe(30), token, account, arn, user_id)


@dataclass(frozen=True)
class Call:
    """One operation that was called, with its checked parameters."""

    service: str
    operation: str
    params: dict[str, Any]
    region: str
    caller: Caller
    by: str  # "client", or the service that calls for the caller
    moto: Callable[[], dict[str, Any]]  # returns moto's answer to this request

    @property
    def account(self) -> str:
        return self.caller.account

    @property
    def partition(self) -> str:
        return self.caller.partition

    @property
    def account_region(self) -> tuple[str, str]:
        """Account and region, the key of regional state."""
        return self.caller.account, self.region


Handler = Callable[["Cloud", Call], dict[str, Any]]


@dataclass
class Cloud:
    """All state apart from moto's."""

    durations: Durations = NONE
    clock: Clock = field(default_factory=Clock)
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    callers: dict[str, Caller] = field(default_factory=dict)
    # Statements by access key; callers that are not here may do everything.
    policies: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    boundaries: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    # Of the organization: statements that deny, and the values that tags may have.
    control_policies: list[Mapping[str, Any]] = field(default_factory=list)
    tag_policy: dict[str, list[str]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    state: dict[tuple[str, ...], Any] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)
    bugs: list[BaseException] = field(default_factory=list)  # errors of the stand-in itself
    handle: Callable[[Request, str, Caller], Response | None] = field(init=False)

    def setdefault(self, make: Callable[[], Any], *key: str) -> Any:
        """Return the state under the key; `make` creates it at first use."""
        with self.lock:
            if key not in self.state:
                self.state[key] = make()
            return self.state[key]

    def all_of(self, kind: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield all state of a kind, with account and region."""
        with self.lock:
            found = [(key[1:], value) for key, value in self.state.items() if key[0] == kind]
        return iter(found)

    def client(self, service: str, region: str, caller: Caller, by: str) -> InternalClient:
        """Return a client with which the service `by` calls another service for the caller."""
        return InternalClient(service, region, lambda request: self.handle(request, by, caller))

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Run `work` in a thread."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        thread.start()
        return thread
