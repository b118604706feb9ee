"""Owns the doubts about sessions: what containers get, and what the front door accepts."""

from __future__ import annotations

import json
import time

from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed

from tests.aws.settle.account import Unanswered
from tests.aws.settle.runtimes import SESSION, Runtime, new_session, open_socket, upgrade

# Variables of the image and of every Linux process.
_ORDINARY = frozenset({
    "PATH", "HOME", "HOSTNAME", "LANG", "PWD", "PYTHONUNBUFFERED", "PYTHON_VERSION", "PYTHONPATH",
    "PYTHON_SHA256", "GPG_KEY", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "LC_CTYPE", "SHLVL",
    "PING_BODY", "PORT",
})  # fmt: skip


def environment(runtime: Runtime) -> str:
    """Return the variables that the platform gives a container; names only."""
    names = set(runtime.ask()["environment"]) - _ORDINARY
    return ", ".join(sorted(names)) or "none"


def container(runtime: Runtime) -> str:
    """Return the user, /.dockerenv, and whether OpenTelemetry's resource names the runtime."""
    found = runtime.ask()
    return (
        f"uid {found['uid']}, /.dockerenv {found['dockerenv']}, "
        f"cloud.resource_id {found['resource']}"
    )


def headers(runtime: Runtime) -> str:
    """Return the headers of the platform that reach a container."""
    own = [name for name in runtime.ask()["headers"] if "amz" in name or name == "traceparent"]
    return ", ".join(own) or "none"


def restored(runtime: Runtime) -> str:
    """Return whether two sessions come from one start of the process."""
    first, second = (runtime.ask()["boot"] for _ in range(2))
    return "one start" if first == second else "a start each"


def start_seconds(runtime: Runtime) -> str:
    """Return the time of the first answer of three new sessions, in half seconds."""
    seconds: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        runtime.ask()
        seconds.append(time.monotonic() - began)
    return f"{round(2 * sorted(seconds)[1]) / 2:.1f} s"


def unencoded_arn(runtime: Runtime) -> str:
    """Return whether /ws takes an ARN that is not encoded in the path."""
    session = new_session()
    url = runtime.url(encoded=False, query=f"qualifier=DEFAULT&{SESSION}={session}")
    seen = upgrade(runtime.presigned(url))
    return "accepted" if seen == session else seen


def session_header_beside_presigned(runtime: Runtime) -> str:
    """Return which session a presigned URL without one reaches with a header beside it."""
    session = new_session()
    seen = upgrade(runtime.presigned(runtime.url()), {SESSION: session})
    return _which(seen, session)


def session_header_signed(runtime: Runtime) -> str:
    """Return which session a header reaches that the signature covers."""
    session = new_session()
    url = runtime.url()
    seen = upgrade(url, runtime.signed_headers(url, {SESSION: session}))
    return _which(seen, session)


def largest_frame(runtime: Runtime) -> str:
    """Return the largest WebSocket frame that reaches the container, in KB."""
    passed = 0
    for size in (32, 40, 64, 65):
        query = f"qualifier=DEFAULT&{SESSION}={new_session()}"
        with open_socket(runtime.presigned(runtime.url(query=query))) as socket:
            try:
                socket.recv(timeout=30)
                socket.send(b"x" * size * 1024)
                if socket.recv(timeout=30) != str(size * 1024):
                    break
            except (ConnectionClosed, TimeoutError) as error:
                return f"{passed} KB; {size} KB: {_reason(error)}"
        passed = size
    return f"{passed} KB"


def drain(runtime: Runtime) -> str:
    """Return how long a process lives after SIGTERM when its session is stopped."""
    account, session = runtime.account, new_session()
    runtime.ask(session)
    account.client("bedrock-agentcore").stop_runtime_session(
        agentRuntimeArn=runtime.arn, runtimeSessionId=session
    )
    logs, group = account.client("logs"), f"/aws/bedrock-agentcore/runtimes/{runtime.id}-DEFAULT"
    seen: list[float] = []
    quiet = time.monotonic() + 60  # lines arrive late; the last may be 15 s after the first

    def over() -> bool:
        try:
            found = logs.filter_log_events(logGroupName=group, filterPattern='"draining"')
        except ClientError:
            return time.monotonic() > quiet
        lines = [json.loads(event["message"]) for event in found["events"]]
        seen[:] = [line["seconds"] for line in lines]
        return time.monotonic() > quiet

    account.until(over, "the log of a stopped session", every=5)
    if not seen:
        raise Unanswered("no line after SIGTERM reached the log: no signal, or no time to log")
    return f"SIGTERM, then {round(max(seen))} s"


def _which(seen: str, wanted: str) -> str:
    if seen == wanted:
        return "the header's session"
    return seen if seen.startswith("HTTP ") else "another session"


def _reason(error: ConnectionClosed | TimeoutError) -> str:
    if isinstance(error, ConnectionClosed) and error.rcvd:
        return f"closed with {error.rcvd.code}"
    return "no answer"
