"""Owns the processes of Lambda functions, which use the Runtime API, one event at a time.

Lambda Developer Guide, runtimes-api and lambda-runtime-environment; for events and answers of
function URLs, urls-invocation.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.standins.aws.http.operations import Request, Response
from tests.standins.aws.http.server import Server

INIT_SECONDS = 10.0  # until the first request for an event, or Lambda starts again
_API = "/2018-06-01/runtime"
_ANSWER_BYTES = 6_291_556  # of a synchronous answer (Lambda quotas)
Start = Callable[[Sequence[str], Mapping[str, str]], "subprocess.Popen[str]"]
"""Starts a container's command in the given environment; stdout and stderr are one pipe."""


@dataclass
class Invocation:
    """One event, and its answer when it is done."""

    event: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answer: bytes = b""
    error: str = ""
    """\"Unhandled\" if the function failed; empty if not."""
    done: threading.Event = field(default_factory=threading.Event)

    def end(self, answer: bytes, error: str = "") -> None:
        if not self.done.is_set():
            self.answer, self.error = answer, error
            self.done.set()

    def fail(self, kind: str, message: str) -> None:
        self.end(json.dumps({"errorType": kind, "errorMessage": message}).encode(), "Unhandled")


class Container:
    """A process of the function, with its Runtime API."""

    def __init__(
        self,
        start: Start,
        command: Sequence[str],
        env: Mapping[str, str],
        arn: str,
        seconds: float,
        write: Callable[[str], None],
    ) -> None:
        self._events: queue.Queue[Invocation | None] = queue.Queue()
        self._arn, self._seconds = arn, seconds
        self._current: Invocation | None = None
        self._ready = threading.Event()
        self._error = ""
        self._server = Server(self._answer)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        api = self._server.url.removeprefix("http://")
        self._process = start(command, {**env, "AWS_LAMBDA_RUNTIME_API": api})
        self._reader = threading.Thread(target=self._read, args=(write,), daemon=True)
        self._reader.start()

    def invoke(self, invocation: Invocation) -> None:
        """Give it an event and wait for the answer; one event at a time."""
        if not self._ready.wait(INIT_SECONDS) or self._error:
            reason = self._error or f"Init timed out after {INIT_SECONDS:g} s"
            invocation.fail("Runtime.ExitError", reason)
            return
        self._current = invocation
        self._events.put(invocation)
        if not invocation.done.wait(self._seconds):
            invocation.fail("Sandbox.Timedout", f"Task timed out after {self._seconds:.2f} seconds")
            self.stop()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and not self._error

    def stop(self) -> None:
        """Kill it without SIGTERM, as Lambda does."""
        self._process.kill()
        self._process.wait()
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._reader.join(5)

    def _read(self, write: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                write(line.rstrip("\n"))
        self._fail("Runtime exited without providing a reason")

    def _fail(self, reason: str) -> None:
        self._error = self._error or reason
        self._ready.set()
        if self._current:
            self._current.fail("Runtime.ExitError", reason)

    def _answer(self, request: Request) -> Response | None:
        kind, _, rest = request.path.removeprefix(_API).strip("/").partition("/")
        if kind == "init" and rest == "error":
            self._fail(request.body.decode())
            return Response(202, b'{"status":"OK"}')
        if kind != "invocation":
            return Response(404, b"{}")
        if rest == "next":
            return self._next()
        given, _, how = rest.partition("/")
        if self._current is None or self._current.id != given or how not in ("response", "error"):
            return Response(400, b'{"errorType":"InvalidRequestID"}')
        if how == "error":
            self._current.end(request.body, "Unhandled")
        elif len(request.body) > _ANSWER_BYTES:
            message = (
                "Response payload size exceeded maximum allowed payload size "
                f"({_ANSWER_BYTES} bytes)."
            )
            self._current.fail("Function.ResponseSizeTooLarge", message)
            return Response(413, b'{"errorType":"RequestEntityTooLarge"}')
        else:
            self._current.end(request.body)
        return Response(202, b'{"status":"OK"}')

    def _next(self) -> Response | None:
        self._ready.set()
        invocation = self._events.get()
        if invocation is None:
            return None
        headers = {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": invocation.id,
            "lambda-runtime-deadline-ms": str(int((time.time() + self._seconds) * 1000)),
            "lambda-runtime-invoked-function-arn": self._arn,
            "lambda-runtime-trace-id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}",
        }
        return Response(200, invocation.event, headers)


class ContainerPool:
    """A function's containers: as many as there are events at once, none of an old version."""

    def __init__(self, make: Callable[[], Container]) -> None:
        self._make = make
        self._idle: list[Container] = []
        self._all: set[Container] = set()
        self._lock = threading.Lock()

    def invoke(self, event: bytes) -> Invocation:
        """Invoke the function and return the finished invocation."""
        invocation = Invocation(event)
        with self._lock:
            container = self._idle.pop() if self._idle else None
        if container is None or not container.alive:
            container = self._make()
            with self._lock:
                self._all.add(container)
        container.invoke(invocation)
        with self._lock:
            current = container in self._all
            if current and container.alive:
                self._idle.append(container)
                return invocation
            self._all.discard(container)
        container.stop()
        return invocation

    def retire(self) -> None:
        """Stop idle containers now, and busy ones when they are done."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._all.clear()
        for container in idle:
            container.stop()
