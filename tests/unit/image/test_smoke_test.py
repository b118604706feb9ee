"""Errors of the smoke test: broken rules, exits and listening addresses."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker.errors import APIError

from voicecore.image.docker.agent_probe import (
    AgentExited,
    EmulationUnavailable,
    ImageUnfit,
    exit_error,
    listening_addresses,
)
from voicecore.image.docker.endpoint import EngineEndpoint
from voicecore.image.docker.smoke_test import smoke_test, user_problem
from voicecore.image.model import BuiltImage


@pytest.mark.parametrize("user", ["1000", "1000:1000", "65534"])
def test_numeric_user_is_accepted(user: str) -> None:
    assert user_problem({"config": {"User": user}}) is None


@pytest.mark.parametrize(
    ("user", "name"),
    [("", "root"), ("0", "user 0"), ("0:1000", "user 0:1000"), ("agent", "user agent")],
)
def test_root_or_named_user_is_refused(user: str, name: str) -> None:
    problem = user_problem({"config": {"User": user}})
    assert problem
    assert f"runs as {name};" in problem.message
    assert "USER 1000" in str(problem.hint)


def test_image_without_config_runs_as_root() -> None:
    assert user_problem({"config": None})


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:9C4F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2
   2: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 3
   3: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000
"""


def test_listening_addresses() -> None:
    assert listening_addresses(TABLE) == {("127.0.0.1", 8080), ("*", 8000), ("::1", 8081)}


TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/app/bot.py", line 3, in <module>',
    "    import soundfile",
    "ModuleNotFoundError: No module named 'soundfile': it is left out of the image; see "
    "exclude-dependencies in agent/pyproject.toml",
]


def test_crash_shows_output_of_agent() -> None:
    error = exit_error({"ExitCode": 1}, TRACEBACK, emulated=False)
    assert type(error) is AgentExited
    assert "exit code 1" in error.message
    assert "exclude-dependencies in agent/pyproject.toml" in error.message


def test_out_of_memory_is_reported() -> None:
    error = exit_error({"ExitCode": 137, "OOMKilled": True}, [], emulated=False)
    assert "it ran out of memory" in error.message
    assert "(no output)" in error.message


def test_missing_emulator_is_reported() -> None:
    # docker-init is a native program; it cannot start the agent.
    output = ["[FATAL tini (7)] exec python failed: Exec format error"]
    error = exit_error({"ExitCode": 127}, output, emulated=True)
    assert type(error) is EmulationUnavailable
    assert "tonistiigi/binfmt --install arm64" in str(error.hint)


def test_crash_of_emulator_is_reported() -> None:
    output = ["qemu: uncaught target signal 11 (Segmentation fault) - core dumped"]
    assert type(exit_error({"ExitCode": 139}, output, emulated=True)) is EmulationUnavailable
    assert type(exit_error({"ExitCode": 139}, [], emulated=True)) is EmulationUnavailable


def test_native_crash_is_reported_as_exit() -> None:
    assert type(exit_error({"ExitCode": 139}, [], emulated=False)) is AgentExited


def test_engine_that_refuses_the_container_is_quoted() -> None:
    """As podman does without a fitting runtime, and Docker with a broken one."""

    def refuse(*_: Any, **__: Any) -> None:
        raise APIError("500", explanation="OCI runtime runc is not compatible with NoCgroups")

    api = SimpleNamespace(remove_container=lambda *_, **__: None)
    client = SimpleNamespace(containers=SimpleNamespace(create=refuse), api=api)
    endpoint = EngineEndpoint("unix:///run/podman/podman.sock")
    engine = cast("Any", SimpleNamespace(endpoint=endpoint, machine="amd64", client=client))
    image = BuiltImage("tag", "sha256:0", {"config": {"User": "1000"}}, (), ())
    with pytest.raises(ImageUnfit, match="not compatible with NoCgroups") as raised:
        smoke_test(engine, "agent:tag", image, ("v2",), lambda _: None)
    assert "runs other containers" in str(raised.value.hint)


class OnlyPing(BaseHTTPRequestHandler):
    """Answers /ping as half of the public samples do, and nothing else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "healthy"}')

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Port of an agent that voicecore did not generate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), OnlyPing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def engine_with(port: int) -> Any:
    """Return an engine whose container publishes the port."""
    container = SimpleNamespace(
        start=lambda: None,
        reload=lambda: None,
        ports={"8080/tcp": [{"HostPort": str(port)}]},
        logs=lambda **_: iter([b"started\n"]),
        attrs={"State": {"Running": True}},
    )
    client = SimpleNamespace(
        containers=SimpleNamespace(create=lambda *_, **__: container),
        api=SimpleNamespace(remove_container=lambda *_, **__: None),
    )
    endpoint = EngineEndpoint("unix:///var/run/docker.sock")
    return SimpleNamespace(endpoint=endpoint, machine="arm64", client=client)


@pytest.mark.parametrize(("user", "warnings"), [("1000", 1), ("", 2), ("bedrock_agentcore", 2)])
def test_agent_that_voicecore_did_not_generate_passes_with_warnings(
    port: int, user: str, warnings: int
) -> None:
    image = BuiltImage("tag", "sha256:0", {"config": {"User": user}}, (), ())
    given = (engine_with(port), "agent:tag", image, ("v1",), lambda _: None)
    result = smoke_test(*given, generated=False)
    assert 0 < result.ping_seconds < result.limit_seconds
    assert result.ready_seconds is None
    assert len(result.warnings) == warnings
    assert "/ping answers" in result.warnings[-1]
    assert ("USER 1000" in result.warnings[0]) == (warnings == 2)
