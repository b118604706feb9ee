"""Owns the reasons why no TURN relay is available, in words a user can act on.

aiortc and aioice do not report them. Generated agents have a copy of this file.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from enum import StrEnum

from aioice.stun import TransactionFailed, TransactionTimeout


class FailureKind(StrEnum):
    """Kinds of causes, for programs."""

    CONFIGURATION = "configuration"
    """The configuration cannot give a relay."""
    SOURCE = "source"
    """The TURN source gave no credentials."""
    DNS = "dns"
    """The server's name cannot be resolved."""
    TIMEOUT = "timeout"
    """No answer: UDP is blocked, or the server is down."""
    UNREACHABLE = "unreachable"
    """The network reports that the server cannot be reached."""
    TLS = "tls"
    """The certificate is not trusted, or the server does not speak TLS."""
    CREDENTIALS = "credentials"
    """The username or credential is wrong or has expired."""
    REFUSED = "refused"
    """The server refused, for another reason."""


class RelayFailure(Exception):
    """No TURN server gave a relay; the message gives the reason of each."""

    def __init__(self, reasons: Sequence[str], kind: FailureKind = FailureKind.REFUSED) -> None:
        super().__init__("; ".join(reasons) or "no TURN server is configured")
        self.kind = kind

    @classmethod
    def joined(cls, failures: Sequence[RelayFailure]) -> RelayFailure:
        """Return all failures as one, with the kind of the first."""
        kind = failures[0].kind if failures else FailureKind.CONFIGURATION
        return cls([str(failure) for failure in failures], kind)


def relay_failure(uri: str, username: str, error: Exception) -> RelayFailure:
    """Explain why `error` kept an allocation at `uri` from succeeding."""
    kind, reason = _explain(uri, username, error)
    return RelayFailure([f"{uri}: {reason}"], kind)


def _explain(uri: str, username: str, error: Exception) -> tuple[FailureKind, str]:
    match error:
        case socket.gaierror():
            return FailureKind.DNS, "the server's name cannot be resolved"
        case ssl.SSLCertVerificationError():
            return FailureKind.TLS, f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return FailureKind.TLS, f"it does not speak TLS: {error.reason or error}"
        case TimeoutError() | TransactionTimeout():
            blocked = "UDP is blocked" if uri.endswith("udp") else "the port is blocked"
            return FailureKind.TIMEOUT, f"no answer: {blocked}, or the server is down"
        case TransactionFailed():
            code, words = error.response.attributes.get("ERROR-CODE", (0, "no reason given"))
            # 401 to a request with credentials (RFC 8489, 9.2.4); 441: another user's username.
            if code in (401, 441):
                return FailureKind.CREDENTIALS, f"{code} {words}: {_doubt(username)}"
            return FailureKind.REFUSED, f"refused: {code} {words}"
        case OSError():
            return FailureKind.UNREACHABLE, error.strerror or str(error)
        case _:
            return FailureKind.REFUSED, str(error) or type(error).__name__


def expiry(username: str) -> int | None:
    """Return when credentials expire (Unix time), if the username starts with it.

    The usernames of KVS and coturn do.
    """
    head = username.partition(":")[0]
    return int(head) if head.isdecimal() and len(head) >= 9 else None


def _doubt(username: str) -> str:
    expires = expiry(username)
    if expires is None:
        return "the username or credential is wrong"
    left = expires - time.time()
    if left < 0:
        return f"the credential expired {-left:.0f} s ago, by this machine's clock"
    return f"the credential is wrong, or this machine's clock is more than {left:.0f} s behind"
