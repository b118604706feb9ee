"""Runs a built image: whether it starts as AgentCore wants it, and how fast it is ready."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from docker.errors import (  # pyright: ignore[reportMissingTypeStubs]
    APIError,
    ContainerError,
    DockerException,
    NotFound,
)

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.contract import agent_log
from voicecore.image.docker.engine import Engine, require_local, require_size, unpacked
from voicecore.image.model import PLATFORM, Image, Tell

PORT = 8080
"""Where AgentCore speaks HTTP to a container (runtime-http-protocol-contract)."""

PING_SECONDS = 30.0
"""AgentCore gives up on a container that has not answered /ping by then."""

READY_SECONDS = 60.0
EMULATED_READY_SECONDS = 240.0
"""How long to wait for the pipeline. No limit of AgentCore's; the first caller waits as long."""

_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 5.0  # for one request; an emulated agent that imports its pipeline is slow
_STOP_SECONDS = 10
_LINES = 15

# Without credentials boto3 asks EC2's metadata service, which takes seconds not to be there.
_ENVIRONMENT = {"AWS_EC2_METADATA_DISABLED": "true"}


class Unfit(VoicecoreError):
    """AgentCore would not run this image; says which rule it breaks."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


class AgentEnded(Unfit):
    """The agent ended while it started; shows the end of what it wrote."""


class NotAnswering(Unfit):
    """The agent runs but does not answer as it should on port 8080."""


class NoEmulation(VoicecoreError):
    """There is no emulator that could run arm64 programs here, or it crashes on them."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            "Install a new enough emulator (QEMU 10) in the engine's system:\n"
            "  docker run --privileged --rm tonistiigi/binfmt --install arm64\n"
            "or from Debian 13, Ubuntu 25.10 or newer:  sudo apt-get install qemu-user-binfmt\n"
            "(QEMU 7.2 of Debian 12 crashes on onnxruntime.) The image is as good without a check:"
            "  voicecore build",
            ExitCode.MISSING_TOOL,
        )


@dataclass(frozen=True)
class Checked:
    """What was measured; seconds count from the start of the container's process."""

    ping_seconds: float
    """Until the first good answer to /ping."""
    ready_seconds: float
    """Until the agent said that its pipeline is warm."""
    peak_mb: float
    """The most memory the agent had taken by then."""
    describes: Mapping[str, Any]
    """What POST /invocations answered."""
    machine: str
    """Architecture of the engine's machine: "arm64", "amd64"."""
    emulated: bool
    limit_seconds: float


def check(
    engine: Engine,
    reference: str,
    image: Image,
    tell: Tell,
    environment: Mapping[str, str] | None = None,
    limit: float = PING_SECONDS,
) -> Checked:
    """Run the image `reference` until its pipeline is warm; nothing of it is left afterwards.

    It gets `environment` and no credentials, and `limit` seconds to answer /ping. Raises Unfit,
    NoEmulation, TooLarge or RemoteEngine.
    """
    require_size(image)
    require_user(image.config)
    require_local(engine.endpoint)
    emulated = not PLATFORM.endswith(f"/{engine.machine}")
    with _container(engine, reference, {**_ENVIRONMENT, **(environment or {})}) as container:
        probe = _Probe(engine, container, emulated, limit, tell)
        probe.start()
        ping = probe.wait_ping()
        describes = probe.invoke()
        ready = probe.wait_ready()
    return Checked(
        ping_seconds=ping,
        ready_seconds=ready.at,
        peak_mb=float(ready.event.get("peak_mb", 0)),
        describes=describes,
        machine=engine.machine,
        emulated=emulated,
        limit_seconds=limit,
    )


def require_runs(engine: Engine, reference: str) -> None:
    """Raise NoEmulation unless the engine can run the image's Python. Takes half a second."""
    try:
        unpacked(
            lambda: engine.client.containers.run(
                reference, ["python", "-c", ""], platform=PLATFORM, init=True, remove=True
            )
        )
    except ContainerError as error:
        told = cast("bytes | None", error.stderr) or b""
        lines = told.decode(errors="replace").splitlines()
        raise ended({"ExitCode": error.exit_status}, lines, emulated=True) from error
    except APIError as error:
        raise _not_started(str(error.explanation or error)) from error


def require_user(config: Mapping[str, Any]) -> None:
    """Raise Unfit unless the image's user is a number other than root's.

    A name makes AgentCore mount the image's layers to look it up, which fails with many
    (runtime-troubleshooting).
    """
    settings = cast("Mapping[str, Any]", config.get("config") or {})
    user = str(settings.get("User") or "")
    number = user.partition(":")[0]
    if not number.isdigit() or number == "0":
        said = f"user {user}" if user else "root"
        raise Unfit(
            f"The image runs as {said}; AgentCore wants a user other than root, by number.",
            "In the last stage of agent/Dockerfile, write:  USER 1000",
        )


@contextmanager
def _container(engine: Engine, reference: str, env: Mapping[str, str]) -> Generator[Any]:
    name = f"voicecore-check-{secrets.token_hex(4)}"
    try:
        yield unpacked(
            lambda: engine.client.containers.create(
                reference,
                name=name,
                platform=PLATFORM,
                init=True,  # as AgentCore: signals and orphans are not the agent's business
                environment=dict(env),
                ports={f"{PORT}/tcp": ("127.0.0.1", None)},
                labels={"io.voicecore.check": "true"},
            )
        )
    finally:  # by name: an interrupted create may have made it without telling
        with suppress(NotFound):
            engine.client.api.remove_container(name, force=True, v=True)


@dataclass(frozen=True)
class Said:
    """A line of the agent's that says it is ready, and when it came."""

    at: float
    event: Mapping[str, Any]


@dataclass
class _Output:
    """What the agent writes, as it comes; filled by a thread."""

    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=400))
    ready: Said | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self, chunks: Iterable[bytes], clock: Callable[[], float]) -> None:
        rest = b""
        with suppress(DockerException, OSError, ValueError):  # the container is removed under us
            for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line.decode(errors="replace").rstrip("\r"), clock())
        if rest:
            self._take(rest.decode(errors="replace"), clock())
        self.ended.set()

    def _take(self, line: str, at: float) -> None:
        self.lines.append(line)
        event = agent_log.parse_event(line)
        if event is not None and event.get("event") == "ready":
            self.ready = Said(at, event)


class _Probe:
    """A container from its start on, asked until it answers."""

    def __init__(
        self, engine: Engine, container: Any, emulated: bool, limit: float, tell: Tell
    ) -> None:
        self._engine = engine
        self._container = container
        self._emulated = emulated
        self._limit = limit
        self._tell = tell
        self._output = _Output()
        self._started = 0.0
        self._port = 0

    def start(self) -> None:
        """Start the agent and listen to it."""
        self._tell(Progress(_START))
        try:
            self._container.start()
        except APIError as error:
            raise _not_started(str(error.explanation or error)) from error
        self._started = time.monotonic()
        self._container.reload()
        published = cast("list[dict[str, str]]", self._container.ports.get(f"{PORT}/tcp") or [])
        # None when it has ended already.
        self._port = int(published[0]["HostPort"]) if published else 0
        chunks = self._container.logs(stream=True, follow=True)
        threading.Thread(target=self._output.read, args=(chunks, self._age), daemon=True).start()

    def wait_ping(self) -> float:
        """Seconds until the first good answer to /ping."""
        while True:
            asked = self._request("GET", "/ping")
            if asked and asked.get("status") in ("Healthy", "HealthyBusy"):
                at = self._age()
                self._tell(Progress(_START, finished=True))
                return at
            self._look()
            if self._age() > self._limit:
                raise self._not_answering()
            time.sleep(_POLL_SECONDS)

    def invoke(self) -> Mapping[str, Any]:
        """What POST /invocations says of the agent."""
        until = self._age() + self._limit
        while self._age() < until:
            answer = self._request("POST", "/invocations", b"{}")
            if answer is not None:
                return answer
            self._look()
            time.sleep(_POLL_SECONDS)
        raise NotAnswering(
            "The agent answers /ping, but not POST /invocations with JSON.",
            "See what app.py says there, and compare with a new project:  voicecore init",
        )

    def wait_ready(self) -> Said:
        """When the agent said that its pipeline is warm."""
        limit = EMULATED_READY_SECONDS if self._emulated else READY_SECONDS
        self._tell(Progress(_WARM))
        while self._output.ready is None:
            self._look()
            if self._age() > limit:
                raise NotAnswering(
                    f"The agent answers /ping, but did not say within {limit:g} s that its "
                    f"pipeline is warm.\n{self._tail()}",
                    'It should write a line of JSON with "event": "ready" to stdout, as in the '
                    "app.py of a new project.",
                )
            time.sleep(_POLL_SECONDS)
        self._tell(Progress(_WARM, finished=True))
        return self._output.ready

    def _age(self) -> float:
        return time.monotonic() - self._started

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any] | None:
        """The JSON object that a good answer holds; None for any other."""
        # Not urllib: a proxy of the user's must not come between us and 127.0.0.1.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            found = json.loads(answer.read()) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return cast("dict[str, Any]", found) if isinstance(found, dict) else None

    def _look(self) -> None:
        """Raise if the agent has ended."""
        if not self._output.ended.is_set():
            return
        self._container.reload()
        state = self._container.attrs["State"]
        if state["Running"]:
            return
        raise ended(state, list(self._output.lines), self._emulated)

    def _not_answering(self) -> NotAnswering:
        listening = self._listening()
        if any(port == PORT and address in _LOOPBACK for address, port in listening):
            return NotAnswering(
                f"The agent listens on 127.0.0.1:{PORT} only, where AgentCore cannot reach it.",
                'Let app.py listen on "0.0.0.0"; AgentCore\'s own app does if the Dockerfile has:  '
                "ENV DOCKER_CONTAINER=1",
            )
        if listening and all(port != PORT for _, port in listening):
            ports = ", ".join(sorted({str(port) for _, port in listening}))
            return NotAnswering(
                f"The agent listens on port {ports}; AgentCore calls port {PORT}.",
                f"Let app.py listen on {PORT}.",
            )
        slow = f" (emulated on {self._engine.machine}, which is slower)" if self._emulated else ""
        return NotAnswering(
            f"The agent did not answer /ping with its health within {self._limit:g} s{slow}, "
            f"AgentCore's limit.\n{self._tail()}",
            "Answer /ping first and import the pipeline behind it, as a new project's app.py does.",
        )

    def _listening(self) -> set[tuple[str, int]]:
        program = "print(*(open(f'/proc/net/{n}').read() for n in ('tcp', 'tcp6')))"
        try:
            _, output = self._container.exec_run(["python", "-c", program], stderr=False)
        except DockerException:  # it has just ended; what it says then is told elsewhere
            return set()
        return listening(output.decode(errors="replace"))

    def _tail(self) -> str:
        return "\n".join(f"  {line}" for line in list(self._output.lines)[-_LINES:])


_START = "start to /ping"
_WARM = "pipeline warm"
_LOOPBACK = ("127.0.0.1", "::1")


def listening(table: str) -> set[tuple[str, int]]:
    """The (address, port)s that are listened on, by /proc/net/tcp and tcp6 (proc_net_tcp.txt).

    Addresses other than the loopback ones are given as "*".
    """
    known = {"0100007F": "127.0.0.1", "00000000000000000000000001000000": "::1"}
    rows = (line.split() for line in table.splitlines())
    found = [row[1].split(":") for row in rows if len(row) > 3 and row[3] == "0A"]
    # Docker's own resolver listens on 127.0.0.11, on any port.
    local = [(host, int(port, 16)) for host, port in found if host != "0B00007F"]
    return {(known.get(host, "*"), port) for host, port in local}


def _not_started(said: str) -> VoicecoreError:
    if "exec format error" in said.lower():
        return NoEmulation("This machine does not run arm64 programs: it has no emulator for them.")
    return Unfit(
        f"The container could not be started: {said}", "See CMD and USER in agent/Dockerfile."
    )


def ended(state: Mapping[str, Any], lines: list[str], emulated: bool) -> VoicecoreError:
    """Why an agent that ran has ended, by the engine's state of it and what it wrote."""
    text = "\n".join(lines)
    shown = "\n".join(f"  {line}" for line in lines[-_LINES:]) or "  (it wrote nothing)"
    if "exec format error" in text.lower():
        return NoEmulation("This machine does not run arm64 programs: it has no emulator for them.")
    code = int(state.get("ExitCode", 0))
    if emulated and (code in (132, 134, 139) or "qemu: uncaught target signal" in text):
        return NoEmulation(f"The emulator crashed while the agent started:\n{shown}")
    why = "it took more memory than there is" if state.get("OOMKilled") else f"exit code {code}"
    return AgentEnded(
        f"The agent ended while it started, {why}:\n{shown}",
        "Run it here, without an image, for a closer look:  voicecore dev",
    )
