"""Images run as AgentCore runs them, on arm64: measurements and errors."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tests.image.small_agent import APP, buildx_inputs, client_env, engine_of, small_agent
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries
from voicecore.catalog.platforms import V1, V2, VARIABLE
from voicecore.console.progress import OnProgress, Progress
from voicecore.image.builders import buildx
from voicecore.image.docker.agent_probe import AgentExited, AgentNotAnswering, ImageUnfit
from voicecore.image.docker.smoke_test import SmokeTestResult, smoke_test

pytestmark = pytest.mark.usefixtures("emulation")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_agent(tmp_path_factory.mktemp("small") / "agent")


def ignore(_: Progress) -> None:
    pass


def run_smoke_test(
    registries: Registries,
    daemon: DockerDaemon,
    agent: Path,
    app: str,
    on_progress: OnProgress = ignore,
    platforms: Collection[str] = (V1, V2),
) -> SmokeTestResult:
    """Build `agent` with another app and run its smoke test; no container may remain."""
    (agent / "internal/app.py").write_text(app)
    inputs = buildx_inputs(agent, registries, "checked")
    with engine_of(daemon) as engine:
        buildx.build(engine, inputs, client_env(daemon), ignore)
        image = engine.inspect("small:checked", "checked", base_layers=2)
        try:
            return smoke_test(engine, "small:checked", image, platforms, on_progress)
        finally:
            assert daemon.docker("ps", "--all", "--quiet") == ""


def test_smoke_test_measures_good_image(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    progress: list[Progress] = []
    result = run_smoke_test(registries, daemon, agent, APP, progress.append)
    assert 0 < result.ping_seconds < result.limit_seconds
    assert result.ready_seconds and result.ready_seconds > 0
    assert result.peak_mb == 12.5
    assert result.describes == {"status": "ok", "six": "1.17.0"}
    assert result.emulated == (result.machine != "arm64")
    assert [step.task for step in progress if step.finished] == [
        "starting the agent",
        "warming up the pipeline",
    ]


def test_smoke_test_passes_no_credentials(
    registries: Registries, daemon: DockerDaemon, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-developer")
    app = APP.replace('"six": six', '"names": sorted(__import__("os").environ), "six": six')
    result = run_smoke_test(registries, daemon, agent, app, platforms=[V2])
    names = result.describes["names"]
    assert (VARIABLE in names, result.limit_seconds) == (True, 120)
    assert "AWS_EC2_METADATA_DISABLED" in names
    assert "AWS_SECRET_ACCESS_KEY" not in names


def test_smoke_test_shows_output_of_agent_that_cannot_start(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    with pytest.raises(AgentExited) as raised:
        run_smoke_test(registries, daemon, agent, "import soundfile\n")
    assert "exit code 1" in raised.value.message
    assert "No module named 'soundfile'" in raised.value.message


def test_smoke_test_reports_agent_that_exits_after_ping(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    dying = "import os, threading\nthreading.Timer(2, os._exit, [3]).start()\n"
    app = APP.replace("print(json", f"{dying}(lambda *_, **__: None)(json")
    with pytest.raises(AgentExited, match="exit code 3"):
        run_smoke_test(registries, daemon, agent, app)


def test_smoke_test_reports_agent_that_listens_on_loopback(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    app = APP.replace("0.0.0.0", "127.0.0.1")
    with pytest.raises(
        AgentNotAnswering, match=r"listens only on 127\.0\.0\.1:8080, where AgentCore cannot"
    ) as raised:
        run_smoke_test(registries, daemon, agent, app)
    assert "ENV DOCKER_CONTAINER=1" in str(raised.value.hint)


def test_smoke_test_reports_agent_on_other_port(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    app = APP.replace("8080", "8000")
    with pytest.raises(AgentNotAnswering, match="listens on port 8000; AgentCore calls port 8080"):
        run_smoke_test(registries, daemon, agent, app)


def test_smoke_test_refuses_image_that_runs_as_root(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    text = (agent / "Dockerfile").read_text()
    (agent / "Dockerfile").write_text(text.replace("USER 1000", "USER root"))
    try:
        with pytest.raises(ImageUnfit, match="runs as user root"):
            run_smoke_test(registries, daemon, agent, APP)
    finally:
        (agent / "Dockerfile").write_text(text)


def test_ctrl_c_leaves_no_container(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    def interrupt(step: Progress) -> None:
        if step.task == "warming up the pipeline":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_smoke_test(registries, daemon, agent, APP, interrupt)
