"""Pushes by a real engine to an ECR that says no as ECR does, and over lines that break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.agents import env_of, held, order, small_agent
from tests.standins.image.ecr import Lifetime
from tests.standins.image.engine import Engine as Lab
from tests.standins.image.gate import Fault
from tests.standins.image.lab import Registries
from voicecore.console.progress import Progress
from voicecore.image.builders import buildx
from voicecore.image.docker.push import push
from voicecore.image.model import Image
from voicecore.image.registry.credentials import source_for
from voicecore.image.registry.errors import RegistryDenied, RegistryUnreachable, RepositoryMissing
from voicecore.image.registry.reference import parse_reference

TAG = "0a1b"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_agent(tmp_path_factory.mktemp("small") / "agent")


@pytest.fixture
def image(
    lab: Registries, engine: Lab, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Image]:
    """The small agent's image, and AWS's credentials for who pushes it."""
    for name, value in lab.env().items():
        monkeypatch.setenv(name, value)
    with held(engine) as holding:
        buildx.build(holding, order(agent, lab, TAG), env_of(engine), lambda _: None)
        yield holding.inspect(f"small:{TAG}", TAG, base_layers=2)


def pushed(
    lab: Registries,
    engine: Lab,
    image: Image,
    repository: str,
    told: list[Progress] | None = None,
    pauses: list[float] | None = None,
) -> str:
    """Push as `voicecore build --push` does; return the digest that the registry has then."""
    lab.ecr.repositories.add(repository)
    target = parse_reference(f"{lab.ecr.host}/{repository}:{TAG}")
    tell = (told if told is not None else []).append
    slept = pauses if pauses is not None else []
    with held(engine) as holding:
        holding.tag(f"small:{TAG}", target.name, TAG)
        digest = push(holding, image, target, source_for(target.registry), tell, sleep=slept.append)
    assert lab.private.digest(repository, TAG) == digest
    return digest


def test_a_push_with_progress_and_the_next_that_sends_nothing(
    lab: Registries, engine: Lab, image: Image
) -> None:
    told: list[Progress] = []
    first = pushed(lab, engine, image, "first", told)
    over = [step for step in told if step.finished]
    assert len(over) >= len(image.layers)
    assert any(step.total and step.done == step.total for step in told)
    sent = lab.gate.journal.bytes
    again: list[Progress] = []
    assert pushed(lab, engine, image, "first", again) == first
    assert {step.note for step in again if step.finished} == {"there already"}
    assert lab.gate.journal.bytes - sent < 10_000


def test_a_token_that_expires_mid_push_is_renewed(
    lab: Registries, engine: Lab, image: Image
) -> None:
    lab.ecr.lifetimes.append(Lifetime(requests=6))
    before = len(lab.ecr.tokens)
    pushed(lab, engine, image, "expiring")
    assert len(lab.ecr.tokens) == before + 2
    assert 403 in {asked.status for asked in lab.gate.journal.asked}


def test_a_line_that_breaks_and_is_mended(lab: Registries, engine: Lab, image: Image) -> None:
    # As many as there are blobs: the small ones pass all the same, and at least one is large.
    lab.gate.faults.append(Fault("PUT", "/blobs/uploads/", times=8, reset_after=100_000))
    pauses: list[float] = []
    pushed(lab, engine, image, "broken", pauses=pauses)
    # That all has arrived the registry has seen: it takes no manifest whose blobs it has not.
    assert pauses


def test_a_line_that_stays_broken(lab: Registries, engine: Lab, image: Image) -> None:
    pauses: list[float] = []
    with lab.gate.unreachable(), pytest.raises(RegistryUnreachable) as raised:
        target = parse_reference(f"{lab.ecr.host}/agent:{TAG}")
        with held(engine) as holding:
            holding.tag(f"small:{TAG}", target.name, TAG)
            # The token was fetched while AWS could still be reached.
            push(holding, image, target, lambda: None, lambda _: None, sleep=pauses.append)
    assert lab.ecr.host in raised.value.message
    assert pauses == [0.5, 1, 2, 4, 8]


def test_a_repository_that_is_not_there(lab: Registries, engine: Lab, image: Image) -> None:
    target = parse_reference(f"{lab.ecr.host}/nobodys:{TAG}")
    with held(engine) as holding, pytest.raises(RepositoryMissing) as raised:
        holding.tag(f"small:{TAG}", target.name, TAG)
        push(holding, image, target, source_for(target.registry), lambda _: None)
    assert "aws ecr create-repository --repository-name nobodys" in str(raised.value.hint)


def test_a_push_that_is_denied(lab: Registries, engine: Lab, image: Image) -> None:
    lab.ecr.denied.add("ecr:InitiateLayerUpload")
    with pytest.raises(RegistryDenied) as raised:
        pushed(lab, engine, image, "denied")
    assert "ecr:InitiateLayerUpload" in str(raised.value.hint)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(raised.value.message)
