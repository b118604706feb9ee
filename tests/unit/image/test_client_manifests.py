"""The registry client reads manifests, and explains refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault, digest_of
from tests.unit.image.repositories import DIGEST, ECR, HUB, push, with_repository
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.registry.client import Repository
from voicecore.image.registry.errors import (
    ImageMissing,
    NotLoggedIn,
    PlatformMissing,
    PullLimitReached,
    RegistryDenied,
    RegistryFull,
    RegistryRefused,
    RepositoryMissing,
    TagTaken,
    refusal,
)
from voicecore.image.registry.manifests import OCI_INDEX, OCI_MANIFEST


def add_image(registry: FakeRegistry, name: str, architecture: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture, "variant": "v8"}
    config = json.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": registry.add(name, config),
            "size": len(config),
        },
        "layers": [],
    }
    return {
        "digest": registry.add_manifest(name, architecture, OCI_MANIFEST, document),
        "platform": platform,
    }


def test_image_selects_arm64_from_index() -> None:
    registry = FakeRegistry()
    entries = [add_image(registry, "agent", name) for name in ("amd64", "arm64")]
    unknown = {"digest": DIGEST, "platform": {"os": "unknown", "architecture": "unknown"}}
    index = registry.add_manifest("agent", "t", OCI_INDEX, {"manifests": [*entries, unknown]})
    image = with_repository(registry, lambda repository: repository.image("t"))
    assert image.digest == index
    assert image.config["architecture"] == "arm64"


def test_image_lists_platforms_of_index_without_arm64() -> None:
    registry = FakeRegistry()
    unknown = {"digest": DIGEST, "platform": {"os": "unknown", "architecture": "unknown"}}
    entries = [add_image(registry, "agent", "amd64"), unknown]
    registry.add_manifest("agent", "t", OCI_INDEX, {"manifests": entries})
    with pytest.raises(PlatformMissing, match="it supports linux/amd64/v8") as caught:
        with_repository(registry, lambda repository: repository.image("t"))
    assert "unknown" not in caught.value.message
    assert caught.value.exit_code == ExitCode.BAD_PROJECT


def test_image_refuses_single_image_of_other_platform() -> None:
    registry = FakeRegistry()
    add_image(registry, "agent", "amd64")
    with pytest.raises(PlatformMissing):
        with_repository(registry, lambda repository: repository.image("amd64"))


def test_pushed_manifest_is_found() -> None:
    async def work(repository: Repository) -> None:
        assert await repository.find("t") is None
        digest = await repository.push_manifest("t", OCI_MANIFEST, b"{}")
        found = await repository.find("t")
        assert found and found.digest == digest == digest_of(b"{}")
        assert found.media_type == OCI_MANIFEST

    with_repository(FakeRegistry(), work)


def test_manifest_reports_missing_image() -> None:
    with pytest.raises(ImageMissing, match="agent:nothing"):
        with_repository(FakeRegistry(), lambda repository: repository.manifest("nothing"))


@pytest.mark.parametrize(
    ("status", "code", "summary", "kind"),
    [
        (401, "UNAUTHORIZED", "authentication required", NotLoggedIn),
        (403, "DENIED", "requested access to the resource is denied", RegistryDenied),
        (404, "NAME_UNKNOWN", "repository name not known", RepositoryMissing),
        (400, "TAG_INVALID", "the tag is immutable", TagTaken),
        (413, "", "entity too large", RegistryFull),
        (507, "", "insufficient storage", RegistryFull),
        (500, "UNKNOWN", "write /var/x: no space left on device", RegistryFull),
        (400, "MANIFEST_INVALID", "manifest invalid", RegistryRefused),
    ],
)
def test_refusal_returns_specific_error(
    status: int, code: str, summary: str, kind: type[VoicecoreError]
) -> None:
    error = refusal(status, [(code, summary)], f"{status} {summary}", ECR)
    assert type(error) is kind
    if kind is not RegistryFull:
        assert error.exit_code == ExitCode.AWS_REFUSED
        assert refusal(status, [(code, summary)], summary, HUB).exit_code == ExitCode.FAILED


def test_missing_ecr_repository_has_create_command() -> None:
    hint = refusal(404, [("NAME_UNKNOWN", "")], "", ECR).hint or ""
    assert "aws ecr create-repository --repository-name voicecore/agent --region eu-west-1" in hint


def test_pull_limit_is_not_retried() -> None:
    message = "You have reached your unauthenticated pull rate limit."
    fault = Fault(
        "GET", "/manifests/", status=429, code="TOOMANYREQUESTS", message=message, times=99
    )
    registry = FakeRegistry(faults=[fault])
    with pytest.raises(PullLimitReached, match="pull rate limit"):
        with_repository(registry, lambda repository: repository.find("t"))
    assert len(registry.find("GET", "/manifests/")) == 1


def test_full_registry_is_not_retried() -> None:
    fault = Fault("PUT", "/uploads/", status=500, message="no space left on device", times=99)
    registry = FakeRegistry(faults=[fault])
    with pytest.raises(RegistryFull):
        with_repository(registry, push)
    assert len(registry.find("PUT")) == 1
