"""Images run as AgentCore would run them, on arm64: what is measured, and what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.image.agents import APP, env_of, held, order, small_agent
from tests.standins.image.engine import Engine as Lab
from tests.standins.image.lab import Registries
from voicecore.image.builders import buildx
from voicecore.image.docker.smoke_test import AgentEnded, Checked, NotAnswering, Unfit, check
from voicecore.image.model import Progress, Tell

pytestmark = pytest.mark.usefixtures("emulation")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_agent(tmp_path_factory.mktemp("small") / "agent")


def ignore(_: Progress) -> None:
    """Take no notice."""


def checked(
    lab: Registries, engine: Lab, agent: Path, app: str, tell: Tell = ignore, limit: float = 30
) -> Checked:
    """Build `agent` with another app.py, and check it; no container is left."""
    (agent / "internal/app.py").write_text(app)
    with held(engine) as holding:
        wanted = order(agent, lab, "checked")
        buildx.build(holding, wanted, env_of(engine), ignore)
        image = holding.inspect("small:checked", "checked", base_layers=2)
        try:
            return check(holding, "small:checked", image, tell, limit=limit)
        finally:
            assert engine.docker("ps", "--all", "--quiet") == ""


def test_a_good_image(lab: Registries, engine: Lab, agent: Path) -> None:
    told: list[Progress] = []
    found = checked(lab, engine, agent, APP, told.append)
    assert 0 < found.ping_seconds < found.limit_seconds
    assert found.ready_seconds > 0
    assert found.peak_mb == 12.5
    assert found.describes == {"status": "ok", "six": "1.17.0"}
    assert found.emulated == (found.machine != "arm64")
    assert [step.task for step in told if step.finished] == ["start to /ping", "pipeline warm"]


def test_no_credentials_reach_it(
    lab: Registries, engine: Lab, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-developer")
    app = APP.replace('"six": six', '"names": sorted(__import__("os").environ), "six": six')
    found = checked(lab, engine, agent, app)
    names = found.describes["names"]
    assert "AWS_EC2_METADATA_DISABLED" in names
    assert "AWS_SECRET_ACCESS_KEY" not in names


def test_an_agent_that_cannot_start(lab: Registries, engine: Lab, agent: Path) -> None:
    with pytest.raises(AgentEnded) as raised:
        checked(lab, engine, agent, "import soundfile\n")
    assert "exit code 1" in raised.value.message
    assert "No module named 'soundfile'" in raised.value.message


def test_an_agent_that_ends_behind_ping(lab: Registries, engine: Lab, agent: Path) -> None:
    dying = "import os, threading\nthreading.Timer(2, os._exit, [3]).start()\n"
    app = APP.replace("print(json", f"{dying}(lambda *_, **__: None)(json")
    with pytest.raises(AgentEnded, match="exit code 3"):
        checked(lab, engine, agent, app)


def test_an_agent_that_listens_to_itself_only(lab: Registries, engine: Lab, agent: Path) -> None:
    with pytest.raises(NotAnswering, match=r"listens on 127\.0\.0\.1:8080 only") as raised:
        checked(
            lab, engine, agent, APP.replace("0.0.0.0", "127.0.0.1"), limit=30
        )  # of a machine that does more than emulate
    assert "ENV DOCKER_CONTAINER=1" in str(raised.value.hint)


def test_an_agent_on_another_port(lab: Registries, engine: Lab, agent: Path) -> None:
    with pytest.raises(NotAnswering, match="listens on port 8000; AgentCore calls port 8080"):
        checked(
            lab, engine, agent, APP.replace("8080", "8000"), limit=30
        )  # of a machine that does more than emulate


def test_an_image_that_runs_as_root(lab: Registries, engine: Lab, agent: Path) -> None:
    text = (agent / "Dockerfile").read_text()
    (agent / "Dockerfile").write_text(text.replace("USER 1000", "USER root"))
    try:
        with pytest.raises(Unfit, match="runs as user root"):
            checked(lab, engine, agent, APP)
    finally:
        (agent / "Dockerfile").write_text(text)


def test_ctrl_c_leaves_no_container(lab: Registries, engine: Lab, agent: Path) -> None:
    def interrupt(step: Progress) -> None:
        if step.task == "pipeline warm":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked(lab, engine, agent, APP, interrupt)
