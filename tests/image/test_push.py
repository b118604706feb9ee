"""Pushes by a real Docker engine to a stand-in with ECR's errors and lost connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.projects import make_project
from tests.image.small_agent import PROJECT, buildx_inputs, client_env, engine_of, small_agent
from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.ecr import Lifetime
from tests.standins.image.proxy import PUBLIC, Fault
from tests.standins.image.registries import Registries
from tests.standins.inspecting_proxy import inspecting_proxy
from voicecore.aws.login import AwsLogin
from voicecore.console.progress import Progress
from voicecore.image.builders import buildx
from voicecore.image.docker.push import push
from voicecore.image.model import BuiltImage
from voicecore.image.registry.credentials import login_source
from voicecore.image.registry.errors import RegistryDenied, RegistryUnreachable, RepositoryMissing
from voicecore.image.registry.reference import parse_reference

TAG = "0a1b"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_agent(tmp_path_factory.mktemp("small") / "agent")


@pytest.fixture
def image(
    registries: Registries, daemon: DockerDaemon, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BuiltImage]:
    """The small agent's image, with AWS credentials in the environment."""
    for name, value in registries.env().items():
        monkeypatch.setenv(name, value)
    inputs = buildx_inputs(agent, registries, TAG)
    with engine_of(daemon) as engine:
        buildx.build(engine, inputs, client_env(daemon), lambda _: None)
        yield engine.inspect(f"small:{TAG}", TAG, base_layers=2)


def push_to(
    registries: Registries,
    daemon: DockerDaemon,
    image: BuiltImage,
    repository: str,
    progress: list[Progress] | None = None,
    pauses: list[float] | None = None,
) -> str:
    """Push as `voicecore build --push` does, and return the digest in the registry."""
    registries.ecr.repositories.add(repository)
    target = parse_reference(f"{registries.ecr.host}/{repository}:{TAG}")
    on_progress = (progress if progress is not None else []).append
    sleep = (pauses if pauses is not None else []).append
    source = login_source(target.registry, AwsLogin())
    with engine_of(daemon) as engine:
        engine.tag(f"small:{TAG}", target.name, TAG)
        digest = push(engine, image, target, source, on_progress, sleep=sleep)
    assert registries.private.digest(repository, TAG) == digest
    return digest


def test_push_reports_progress_and_second_push_sends_nothing(
    registries: Registries, daemon: DockerDaemon, image: BuiltImage
) -> None:
    progress: list[Progress] = []
    first = push_to(registries, daemon, image, "first", progress)
    assert len([step for step in progress if step.finished]) >= len(image.layers)
    assert any(step.total and step.done == step.total for step in progress)
    sent = registries.proxy.log.bytes
    again: list[Progress] = []
    assert push_to(registries, daemon, image, "first", again) == first
    assert {step.note for step in again if step.finished} == {"already there"}
    assert registries.proxy.log.bytes - sent < 10_000


def test_push_renews_expired_token(
    registries: Registries, daemon: DockerDaemon, image: BuiltImage
) -> None:
    registries.ecr.lifetimes.append(Lifetime(requests=6))
    before = len(registries.ecr.tokens)
    push_to(registries, daemon, image, "expiring")
    assert len(registries.ecr.tokens) == before + 2
    assert 403 in {request.status for request in registries.proxy.log.requests}


def test_push_retries_after_lost_connection(
    registries: Registries, daemon: DockerDaemon, image: BuiltImage
) -> None:
    # One fault for each blob: small blobs pass, and at least one is large.
    registries.proxy.faults.append(Fault("PUT", "/blobs/uploads/", times=8, reset_after=100_000))
    pauses: list[float] = []
    push_to(registries, daemon, image, "broken", pauses=pauses)
    # All blobs have arrived: a registry accepts no manifest with missing blobs.
    assert pauses


def test_push_reports_unreachable_registry_after_retries(
    registries: Registries, daemon: DockerDaemon, image: BuiltImage
) -> None:
    pauses: list[float] = []
    with registries.proxy.unreachable(), pytest.raises(RegistryUnreachable) as raised:
        target = parse_reference(f"{registries.ecr.host}/agent:{TAG}")
        with engine_of(daemon) as engine:
            engine.tag(f"small:{TAG}", target.name, TAG)
            # No login, as if the token was fetched before AWS became unreachable.
            push(engine, image, target, lambda: None, lambda _: None, sleep=pauses.append)
    assert registries.ecr.host in raised.value.message
    assert pauses == [0.5, 1, 2, 4, 8]


def test_push_reports_missing_repository(
    registries: Registries, daemon: DockerDaemon, image: BuiltImage
) -> None:
    target = parse_reference(f"{registries.ecr.host}/missing:{TAG}")
    with engine_of(daemon) as engine, pytest.raises(RepositoryMissing) as raised:
        engine.tag(f"small:{TAG}", target.name, TAG)
        push(engine, image, target, login_source(target.registry, AwsLogin()), lambda _: None)
    assert "aws ecr create-repository --repository-name missing" in str(raised.value.hint)


def test_push_names_denied_iam_action(
    registries: Registries, daemon: DockerDaemon, image: BuiltImage
) -> None:
    registries.ecr.denied.add("ecr:InitiateLayerUpload")
    with pytest.raises(RegistryDenied) as raised:
        push_to(registries, daemon, image, "denied")
    assert "ecr:InitiateLayerUpload" in str(raised.value.hint)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(raised.value.message)


def test_docker_builds_and_pushes_through_a_proxy_that_inspects_tls(
    registries: Registries, tmp_path: Path
) -> None:
    """Daemon, buildx, pip and uv in the build, and voicecore know AWS by the proxy alone."""
    root = make_project(tmp_path, "--pipeline", "nova-sonic", "--region", registries.ecr.region)
    (root / "agent/pyproject.toml").write_text(PROJECT)
    names = [*registries.proxy.hosts, f"api.ecr.{registries.ecr.region}.amazonaws.com"]
    packages = {host: f"https://{host}" for host in ("pypi.org", "files.pythonhosted.org")}
    routes = dict.fromkeys(names, registries.proxy.endpoint) | packages
    registries.ecr.repositories.add("proxied")
    with (
        # Containers do not reach this machine's 127.0.0.1.
        inspecting_proxy(tmp_path, routes, registries.proxy.address) as proxy,
        dockerd(variables=proxy.environment()) as behind,
    ):
        own = {**registries.env(), "AWS_ENDPOINT_URL_ECR": "", "XDG_CACHE_HOME": f"{tmp_path}/c"}
        done = subprocess.run(
            [sys.executable, "-m", "voicecore", "build", "--builder", "buildx", "--json",
             "--push", f"{registries.ecr.host}/proxied"],
            cwd=root, env={**os.environ, **own, **behind.env, **proxy.environment()},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        pushed = registries.private.digest("proxied", json.loads(done.stdout)["tag"])
    assert json.loads(done.stdout)["digest"] == pushed
    assert {PUBLIC, registries.ecr.host, names[-1], *packages} <= set(proxy.hosts)
