"""Why there is no TURN relay, in words one can act on: aiortc and aioice keep it to themselves."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from enum import StrEnum

from aioice.stun import TransactionFailed, TransactionTimeout


class Reason(StrEnum):
    """The kinds of causes, for programs."""

    CONFIGURATION = "configuration"
    """What was configured can lead to no relay."""
    SOURCE = "source"
    """Whoever gives credentials gave none."""
    DNS = "dns"
    """The server's name is not known."""
    TIMEOUT = "timeout"
    """Nobody answers: UDP is blocked, or the server is gone."""
    UNREACHABLE = "unreachable"
    """There is no such server, says someone."""
    TLS = "tls"
    """Its certificate is not trusted, or it does not speak TLS."""
    CREDENTIALS = "credentials"
    """Username or credential are wrong, or their time is over."""
    REFUSED = "refused"
    """The server gives none, for a reason of its own."""


class NoRelay(Exception):
    """No TURN server gave a relay; the message says of each why not."""

    def __init__(self, reasons: Sequence[str], kind: Reason = Reason.REFUSED) -> None:
        super().__init__("; ".join(reasons) or "no TURN server is configured")
        self.kind = kind

    @classmethod
    def of(cls, failures: Sequence[NoRelay]) -> NoRelay:
        """All these in one; its kind is the first one's."""
        kind = failures[0].kind if failures else Reason.CONFIGURATION
        return cls([str(failure) for failure in failures], kind)


def no_relay(uri: str, username: str, error: Exception) -> NoRelay:
    """Say why `error` kept an allocation at `uri` from being made."""
    kind, why = _cause(uri, username, error)
    return NoRelay([f"{uri}: {why}"], kind)


def _cause(uri: str, username: str, error: Exception) -> tuple[Reason, str]:
    match error:
        case socket.gaierror():
            return Reason.DNS, "the name of the server is not known"
        case ssl.SSLCertVerificationError():
            return Reason.TLS, f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return Reason.TLS, f"it does not speak TLS: {error.reason or error}"
        case TimeoutError() | TransactionTimeout():
            blocked = "UDP is blocked" if uri.endswith("udp") else "the port is blocked"
            return Reason.TIMEOUT, f"no answer: {blocked}, or the server is gone"
        case TransactionFailed():
            code, words = error.response.attributes.get("ERROR-CODE", (0, "no reason given"))
            # 401 to a request that bore credentials (RFC 8489, 9.2.4); 441: another's username.
            if code in (401, 441):
                return Reason.CREDENTIALS, f"{code} {words}: {_doubt(username)}"
            return Reason.REFUSED, f"refused: {code} {words}"
        case OSError():
            return Reason.UNREACHABLE, error.strerror or str(error)
        case _:
            return Reason.REFUSED, str(error) or type(error).__name__


def expiry(username: str) -> int | None:
    """When a login ends, seconds since 1970, if its name begins so, as KVS's and coturn's do."""
    head = username.partition(":")[0]
    return int(head) if head.isdecimal() and len(head) >= 9 else None


def _doubt(username: str) -> str:
    ends = expiry(username)
    if ends is None:
        return "the username or credential is wrong"
    left = ends - time.time()
    if left < 0:
        return f"the credential ended {-left:.0f} s ago, by this machine's clock"
    return f"the credential is wrong, or this machine's clock is more than {left:.0f} s behind"
