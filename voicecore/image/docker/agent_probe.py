"""Owns one run of an agent's container: starts it, polls it until it is ready."""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from docker.errors import (  # pyright: ignore[reportMissingTypeStubs]
    APIError,
    DockerException,
)

from voicecore.catalog.platforms import START_SECONDS, V1, V2
from voicecore.console import json_text
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import OnProgress, Progress
from voicecore.contract import agent_log
from voicecore.contract.ping import PingAnswer, read_ping
from voicecore.image.docker.engine import Engine

PORT = 8080
"""Port that AgentCore calls (runtime-http-protocol-contract)."""

READY_SECONDS = 60.0
EMULATED_READY_SECONDS = 240.0
"""Time limit for the pipeline. It is not AgentCore's; the first caller waits that long."""

_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 5.0  # per request; an emulated agent is slow while it imports its pipeline
_OUTPUT_LINES = 15


class ImageUnfit(VoicecoreError):
    """AgentCore would not run this image; names the rule that it breaks."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


class AgentExited(ImageUnfit):
    """The agent exited during startup; shows the end of its output."""


class AgentNotAnswering(ImageUnfit):
    """The agent runs but does not answer correctly on port 8080."""


class EmulationUnavailable(VoicecoreError):
    """Docker has no working emulator for arm64 programs."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            "Install a recent emulator (QEMU 10) on the engine's machine:\n"
            "  docker run --privileged --rm tonistiigi/binfmt --install arm64\n"
            "or on Debian 13, Ubuntu 25.10 or newer:  sudo apt-get install qemu-user-binfmt\n"
            "(QEMU 7.2 of Debian 12 crashes on onnxruntime.) Or build without the check; the image "
            "is the same:  voicecore build",
            ExitCode.MISSING_TOOL,
        )


@dataclass(frozen=True)
class ReadyEvent:
    """The agent's "ready" log event, and when it arrived."""

    at: float
    """Seconds since the start of the container."""
    event: Mapping[str, Any]


@dataclass
class _AgentOutput:
    """The agent's output so far; a thread fills it."""

    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=400))
    ready: ReadyEvent | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self, chunks: Iterable[bytes], clock: Callable[[], float]) -> None:
        rest = b""
        with suppress(DockerException, OSError, ValueError):  # the container was removed
            for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._add(line.decode(errors="replace").rstrip("\r"), clock())
        if rest:
            self._add(rest.decode(errors="replace"), clock())
        self.ended.set()

    def _add(self, line: str, at: float) -> None:
        self.lines.append(line)
        event = agent_log.parse_event(line)
        if event is not None and event.get("event") == "ready":
            self.ready = ReadyEvent(at, event)


class AgentProbe:
    """Starts a container and polls it until it answers."""

    def __init__(
        self,
        engine: Engine,
        container: Any,
        emulated: bool,
        on_progress: OnProgress,
        platform: str,
    ) -> None:
        self._engine = engine
        self._container = container
        self._emulated = emulated
        self._on_progress = on_progress
        self._platform = platform
        # On V2 the pipeline is loaded before /ping answers.
        emulated_v2 = emulated and platform == V2
        self._limit = EMULATED_READY_SECONDS if emulated_v2 else START_SECONDS[platform]
        self._output = _AgentOutput()
        self._started = 0.0
        self._port = 0

    def start(self) -> None:
        """Start the agent and read its output."""
        self._on_progress(Progress(_START))
        try:
            self._container.start()
        except APIError as error:
            raise start_error(str(error.explanation or error)) from error
        self._started = time.monotonic()
        self._container.reload()
        published = cast("list[dict[str, str]]", self._container.ports.get(f"{PORT}/tcp") or [])
        # No port is published if the container has exited already.
        self._port = int(published[0]["HostPort"]) if published else 0
        chunks = self._container.logs(stream=True, follow=True)
        threading.Thread(target=self._output.read, args=(chunks, self._age), daemon=True).start()

    def wait_ping(self) -> tuple[float, PingAnswer]:
        """Wait for the first healthy answer to /ping; return the seconds that it took, and it."""
        while True:
            if ping := read_ping(*self._request("GET", "/ping")):
                at = self._age()
                self._on_progress(Progress(_START, finished=True))
                return at, ping
            self._require_running()
            if self._age() > self._limit:
                raise self._not_answering()
            time.sleep(_POLL_SECONDS)

    def invoke(self) -> Mapping[str, Any]:
        """Return the answer to POST /invocations."""
        until = self._age() + START_SECONDS[V1]
        while self._age() < until:
            status, body = self._request("POST", "/invocations", b"{}")
            if status == 200 and (answer := _object(body)) is not None:
                return answer
            self._require_running()
            time.sleep(_POLL_SECONDS)
        raise AgentNotAnswering(
            "The agent answers /ping, but does not answer POST /invocations with JSON.",
            "Compare its app.py with that of a new project:  voicecore init",
        )

    def wait_ready(self) -> ReadyEvent:
        """Wait for the "ready" log event and return it."""
        limit = EMULATED_READY_SECONDS if self._emulated else READY_SECONDS
        self._on_progress(Progress(_WARM))
        while self._output.ready is None:
            self._require_running()
            if self._age() > limit:
                raise AgentNotAnswering(
                    "The agent answers /ping, but did not log within "
                    f"{limit:g} s that its pipeline is warm.\n{self._tail()}",
                    'It must write a JSON line with "event": "ready" to stdout, like the app.py '
                    "of a new project.",
                )
            time.sleep(_POLL_SECONDS)
        self._on_progress(Progress(_WARM, finished=True))
        return self._output.ready

    def _age(self) -> float:
        return time.monotonic() - self._started

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer; status 0 without one."""
        # Not urllib, which would send this through the user's proxy.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def _require_running(self) -> None:
        """Raise if the agent has exited."""
        if not self._output.ended.is_set():
            return
        self._container.reload()
        state = self._container.attrs["State"]
        if state["Running"]:
            return
        raise exit_error(state, list(self._output.lines), self._emulated)

    def _not_answering(self) -> AgentNotAnswering:
        listening = self._listening()
        if any(port == PORT and address in _LOOPBACK for address, port in listening):
            return AgentNotAnswering(
                f"The agent listens only on 127.0.0.1:{PORT}, where AgentCore cannot reach it.",
                'Let it listen on "0.0.0.0". BedrockAgentCoreApp does so if the Dockerfile '
                "has:  ENV DOCKER_CONTAINER=1",
            )
        if listening and all(port != PORT for _, port in listening):
            ports = ", ".join(sorted({str(port) for _, port in listening}))
            return AgentNotAnswering(
                f"The agent listens on port {ports}; AgentCore calls port {PORT}.",
                f"Let it listen on port {PORT}.",
            )
        slow = f" (emulated on {self._engine.machine}, which is slower)" if self._emulated else ""
        return AgentNotAnswering(
            f"The agent did not answer /ping within {self._limit:g} s{slow}, AgentCore's limit.\n"
            f"{self._tail()}",
            "Load less before the first /ping: what is not needed for a call."
            if self._platform == V2
            else "Answer /ping before the pipeline is imported, like the app.py of a new project.",
        )

    def _listening(self) -> set[tuple[str, int]]:
        program = "print(*(open(f'/proc/net/{n}').read() for n in ('tcp', 'tcp6')))"
        try:
            _, output = self._container.exec_run(["python", "-c", program], stderr=False)
        except DockerException:  # it has just exited, which is reported elsewhere
            return set()
        return listening_addresses(output.decode(errors="replace"))

    def _tail(self) -> str:
        return "\n".join(f"  {line}" for line in list(self._output.lines)[-_OUTPUT_LINES:])


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in an answer; None if it has none."""
    try:
        found: Any = json_text.parse(body)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


_START = "starting the agent"
_WARM = "warming up the pipeline"
_LOOPBACK = ("127.0.0.1", "::1")


def listening_addresses(table: str) -> set[tuple[str, int]]:
    """Return the (address, port) pairs in state LISTEN of /proc/net/tcp and tcp6.

    Addresses other than loopback are "*". The format is in proc_net_tcp.txt.
    """
    known = {"0100007F": "127.0.0.1", "00000000000000000000000001000000": "::1"}
    rows = (line.split() for line in table.splitlines())
    found = [row[1].split(":") for row in rows if len(row) > 3 and row[3] == "0A"]
    # Docker's DNS resolver listens on 127.0.0.11, on any port.
    local = [(host, int(port, 16)) for host, port in found if host != "0B00007F"]
    return {(known.get(host, "*"), port) for host, port in local}


def start_error(message: str) -> VoicecoreError:
    """Return the error for a container that the engine could not start."""
    if "exec format error" in message.lower():
        return EmulationUnavailable(_NO_EMULATOR)
    return ImageUnfit(
        f"Could not start the container: {message}",
        "Check CMD and USER in agent/Dockerfile, and that the engine runs other containers.",
    )


_NO_EMULATOR = "This machine cannot run arm64 programs: it has no emulator for them."


def exit_error(state: Mapping[str, Any], lines: list[str], emulated: bool) -> VoicecoreError:
    """Return the error for an agent that exited, from the container's state and its output."""
    text = "\n".join(lines)
    shown = "\n".join(f"  {line}" for line in lines[-_OUTPUT_LINES:]) or "  (no output)"
    if "exec format error" in text.lower():
        return EmulationUnavailable(_NO_EMULATOR)
    code = int(state.get("ExitCode", 0))
    if emulated and (code in (132, 134, 139) or "qemu: uncaught target signal" in text):
        return EmulationUnavailable(f"The emulator crashed during the agent's startup:\n{shown}")
    why = "it ran out of memory" if state.get("OOMKilled") else f"exit code {code}"
    return AgentExited(
        f"The agent exited during startup, {why}:\n{shown}",
        "Run it without an image to see more:  voicecore dev",
    )
