"""The registry client pushes blobs: mounts, skips, retries."""

from __future__ import annotations

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault
from tests.unit.image.repositories import BLOB, DIGEST, SHORT_PAUSES, content, push, with_repository
from voicecore.console.progress import Progress
from voicecore.image.registry.client import Repository
from voicecore.image.registry.errors import (
    RegistryUnreachable,
)


def test_push_sends_blob_in_one_request() -> None:
    registry = FakeRegistry()
    assert with_repository(registry, push) == len(BLOB)
    assert registry.blobs["agent"][DIGEST] == BLOB
    assert [each.bytes for each in registry.find("PUT")] == [len(BLOB)]
    assert not registry.find("PATCH")


def test_push_skips_existing_blob() -> None:
    registry = FakeRegistry()
    registry.add("agent", BLOB)
    assert with_repository(registry, push) == 0
    assert [each.method for each in registry.log if each.path != "/v2/"] == ["HEAD"]


def test_push_mounts_blob_of_other_repository() -> None:
    registry = FakeRegistry()
    registry.add("base", BLOB)
    assert with_repository(registry, lambda repository: push(repository, "base")) == 0
    assert registry.blobs["agent"][DIGEST] == BLOB
    assert not registry.find("PUT")


def test_push_sends_blob_if_registry_mounts_nothing() -> None:
    registry = FakeRegistry(mounts=False)
    registry.add("base", BLOB)
    assert with_repository(registry, lambda repository: push(repository, "base")) == len(BLOB)
    assert len(registry.find("POST")) == 1


def test_push_sends_blob_if_mount_is_denied() -> None:
    registry = FakeRegistry(faults=[Fault("POST", "/uploads/", status=403, code="DENIED")])
    assert with_repository(registry, lambda repository: push(repository, "base")) == len(BLOB)


def test_push_reports_progress_in_bytes() -> None:
    steps: list[Progress] = []

    async def work(repository: Repository) -> None:
        await repository.push(DIGEST, len(BLOB), content, steps.append, "pushing code")
        await repository.push(DIGEST, len(BLOB), content, steps.append, "pushing code")

    with_repository(FakeRegistry(), work)
    sizes = [step.done for step in steps if not step.finished]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(BLOB)
    assert {step.total for step in steps} == {len(BLOB)}
    assert [step.note for step in steps if step.finished] == ["", "already there"]


def test_push_retries_after_lost_connection() -> None:
    registry = FakeRegistry(faults=[Fault("PUT", "/uploads/", cut_after=300_000, times=2)])
    assert with_repository(registry, push) == len(BLOB)
    assert [each.status for each in registry.find("PUT")] == [0, 0, 201]


def test_push_finds_blob_whose_answer_was_lost() -> None:
    registry = FakeRegistry(faults=[Fault("PUT", "/uploads/", status=504)])

    async def work(repository: Repository) -> None:
        registry.add("agent", BLOB)
        registry.faults.append(Fault("HEAD", "/blobs/", status=404))
        await push(repository)

    with_repository(registry, work)
    assert len(registry.find("PUT")) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_push_retries_busy_registry(status: int) -> None:
    registry = FakeRegistry(faults=[Fault("POST", "/uploads/", status=status)])
    assert with_repository(registry, push) == len(BLOB)


def test_push_restarts_upload_that_registry_lost() -> None:
    registry = FakeRegistry(
        faults=[Fault("PUT", "/uploads/", status=404, code="BLOB_UPLOAD_UNKNOWN")]
    )
    assert with_repository(registry, push) == len(BLOB)
    assert len(registry.find("POST")) == 2


def test_push_fails_after_all_retries() -> None:
    registry = FakeRegistry(faults=[Fault("PUT", "/uploads/", cut_after=1, times=99)])
    with pytest.raises(
        RegistryUnreachable,
        match=r"Lost the connection to the registry .*: the connection was lost",
    ):
        with_repository(registry, push)
    assert len(registry.find("PUT")) == len(SHORT_PAUSES) + 1
