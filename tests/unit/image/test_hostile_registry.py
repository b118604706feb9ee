"""Registries that lie: about digests, sizes and places. No local file and no login reaches them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.in_process_registry import FakeRegistry, Fault, digest_of
from tests.unit.image.sample_project import make_base
from tests.unit.image.workspace import Workspace
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.blob_store import blob_path
from voicecore.image.inputs.base_image import resolve
from voicecore.image.inputs.fingerprint import age_of, epoch_of
from voicecore.image.model import BaseImage
from voicecore.image.plan import CannotBuild, python_of
from voicecore.image.registry.client import Repository
from voicecore.image.registry.credentials import RegistryLogin, RegistryLogins
from voicecore.image.registry.errors import (
    BlobCorrupt,
    ImageMalformed,
    NotLoggedIn,
    RegistryRefused,
)
from voicecore.image.registry.manifests import OCI_INDEX, OCI_MANIFEST
from voicecore.image.registry.reference import Reference

BLOB = bytes(range(256)) * 400
DIGEST = digest_of(BLOB)
LOGIN = RegistryLogin("me", "the password")


def with_registries(
    body: Callable[[Repository], Awaitable[Any]], registry: FakeRegistry, *others: FakeRegistry
) -> Any:
    """Run `body` with a repository of `registry`; URLs of others name a port only then."""

    async def work() -> Any:
        async with AsyncExitStack() as stack:
            for each in (*others, registry):
                await stack.enter_async_context(each.serving())
            if others:
                registry.upload_host = registry.upload_host.format(port=others[0].port)
                registry.download_host = registry.download_host.format(port=others[0].port)
            reference = Reference(registry.host, "agent", "t")
            async with Repository(reference, lambda: LOGIN, "pull,push", (0.01,)) as repository:
                return await body(repository)

    return asyncio.run(work())


async def push(repository: Repository) -> int:
    async def content() -> AsyncIterator[bytes]:
        yield BLOB

    def ignore(step: Progress) -> None:
        del step

    return await repository.push(DIGEST, len(BLOB), content, ignore, "blob")


# ---- logins


@pytest.mark.parametrize("challenge", ["basic", "bearer"])
def test_upload_to_another_port_sends_no_login(challenge: str) -> None:
    registry = FakeRegistry(challenge=challenge, accepted={LOGIN.basic()})
    registry.upload_host = "http://127.0.0.1:{port}"
    other = FakeRegistry()
    assert with_registries(push, registry, other) == len(BLOB)
    assert other.blobs["agent"][DIGEST] == BLOB
    assert [each.authorization for each in other.log] == [""]
    assert any(each.authorization for each in registry.log)


@pytest.mark.parametrize("challenge", ["basic", "bearer"])
def test_login_that_another_host_asks_for_is_refused(challenge: str) -> None:
    registry = FakeRegistry(challenge="basic", accepted={LOGIN.basic()})
    registry.upload_host = "http://localhost:{port}"
    other = FakeRegistry(challenge=challenge)
    with pytest.raises(NotLoggedIn):
        with_registries(push, registry, other)
    assert [each.path for each in other.log if each.authorization or "token" in each.path] == []


def test_redirect_to_another_port_sends_no_login() -> None:
    registry = FakeRegistry(challenge="basic", accepted={LOGIN.basic()}, redirects=True)
    registry.add("agent", BLOB)
    registry.download_host = "http://127.0.0.1:{port}"
    other = FakeRegistry()
    other.add("agent", BLOB)
    assert with_registries(lambda repository: repository.read(DIGEST), registry, other) == BLOB
    assert [each.authorization for each in other.log] == [""]


@pytest.mark.parametrize("place", ["file:///etc", "http://[::1", "ftp://127.0.0.1"])
def test_upload_place_that_is_no_url_is_refused(place: str) -> None:
    registry = FakeRegistry(upload_host=place)
    with pytest.raises(RegistryRefused, match="no place to upload to"):
        with_registries(push, registry)


def test_upload_without_place_is_refused() -> None:
    registry = FakeRegistry(faults=[Fault("POST", "/uploads/", status=202)])
    with pytest.raises(RegistryRefused, match="no place to upload to"):
        with_registries(push, registry)


@pytest.mark.parametrize(
    "answer",
    [b" ", b"[]", b"{}", b'{"token": "a\\r\\nb"}', b'{"token": 1, "expires_in": "x"}',
     b'{"token": "a", "expires_in": [1]}', b'{"token": "a", "expires_in": 1e999}'],
)  # fmt: skip
def test_token_service_without_token_is_reported(answer: bytes) -> None:
    registry = FakeRegistry(challenge="bearer", token_answer=answer)
    with pytest.raises(NotLoggedIn, match="sent no token"):
        with_registries(push, registry)


# ---- digests and sizes


async def _resolved(registry: FakeRegistry, cache: Path, version: str = ":3.13") -> BaseImage:
    async with registry.serving():
        name = f"{registry.host}/python{version}"
        return await resolve(name, cache, RegistryLogins(AwsLogin()))


def changed_base(registry: FakeRegistry, change: Callable[[Any, Any], object]) -> None:
    """Replace the manifest and config of the base after `change` has been applied to them."""
    base = make_base(registry, "python")
    manifest, config = json.loads(json.dumps([base.manifest, base.config]))
    change(manifest, config)
    raw = json.dumps(config).encode()
    if manifest.get("config") == base.manifest["config"]:
        manifest["config"] = {**manifest["config"], "digest": registry.add("python", raw)}
    registry.add_manifest("python", "3.13", OCI_MANIFEST, manifest)


PATHS = ["sha256:/root/.aws/credentials", "sha256:../../../victim", "sha256:", "victim", "",
         "sha256:" + "A" * 64, "sha512:" + "a" * 128, None, 7]  # fmt: skip


@pytest.mark.parametrize("digest", PATHS, ids=str)
def test_digest_that_is_a_path_is_refused(tmp_path: Path, digest: object) -> None:
    registry = FakeRegistry()
    changed_base(registry, lambda manifest, config: manifest["layers"][0].update(digest=digest))
    with pytest.raises(ImageMalformed, match="is not a digest"):
        asyncio.run(_resolved(registry, tmp_path))
    changed_base(registry, lambda manifest, config: manifest["config"].update(digest=digest))
    with pytest.raises(ImageMalformed, match="is not a digest"):
        asyncio.run(_resolved(registry, tmp_path))
    entry = {"platform": {"os": "linux", "architecture": "arm64"}, "digest": digest}
    registry.add_manifest("python", "3.13", OCI_INDEX, {"manifests": [entry]})
    with pytest.raises(VoicecoreError):
        asyncio.run(_resolved(registry, tmp_path))
    assert not any(tmp_path.iterdir())
    with pytest.raises(ValueError, match="is not a digest"):
        blob_path(tmp_path, str(digest))


def test_cached_base_with_a_path_is_not_used(tmp_path: Path) -> None:
    registry = FakeRegistry()
    base = make_base(registry, "python")
    known = asyncio.run(_resolved(registry, tmp_path))
    (cached,) = tmp_path.iterdir()
    cached.write_text(cached.read_text().replace(base.manifest["layers"][0]["digest"], "/root/x"))
    again = asyncio.run(_resolved(registry, tmp_path, f"@{known.digest}"))
    assert again.manifest == base.manifest


CHANGES: dict[str, Callable[[Any, Any], object]] = {
    "a size of text": lambda m, c: m["layers"][0].update(size="7"),
    "a negative size": lambda m, c: m["layers"][0].update(size=-7),
    "no media type": lambda m, c: m["layers"][0].pop("mediaType"),
    "layers of text": lambda m, c: m.update(layers="abc"),
    "no layers": lambda m, c: m.pop("layers"),
    "a layer of text": lambda m, c: m["layers"].append("x"),
    "no config": lambda m, c: m.pop("config"),
    "one diff_id too few": lambda m, c: c["rootfs"]["diff_ids"].pop(),
    "a diff_id of text": lambda m, c: c["rootfs"].update(diff_ids=["x", "y"]),
    "no rootfs": lambda m, c: c.pop("rootfs"),
    "env without values": lambda m, c: c["config"].update(Env=["PATH"]),
    "env of numbers": lambda m, c: c["config"].update(Env=[1]),
    "labels of text": lambda m, c: c["config"].update(Labels="x"),
    "ports of text": lambda m, c: c["config"].update(ExposedPorts=["80"]),
    "history of text": lambda m, c: c.update(history=["x"]),
    "a time of text": lambda m, c: c.update(created="yesterday"),
    "a time without zone": lambda m, c: c.update(created="2026-10-01T12:00:00"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_malformed_image_is_refused(tmp_path: Path, change: Callable[[Any, Any], object]) -> None:
    registry = FakeRegistry()
    changed_base(registry, change)
    with pytest.raises(ImageMalformed, match="is not a valid image") as caught:
        asyncio.run(_resolved(registry, tmp_path))
    assert "ARG BASE" in (caught.value.hint or "")


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"7", b"[" * 100_000, b"{" + b'"a":{' * 9000])
def test_manifest_that_is_no_object_is_refused(tmp_path: Path, raw: bytes) -> None:
    registry = FakeRegistry()
    registry.manifests["python/3.13"] = (OCI_MANIFEST, raw)
    with pytest.raises(ImageMalformed):
        asyncio.run(_resolved(registry, tmp_path))


@pytest.mark.parametrize("version", ["3", "x.y", "9" * 5000 + ".1", "", "3.99999"])
def test_strange_python_version_is_refused(version: str) -> None:
    config = {"config": {"Env": [f"PYTHON_VERSION={version}"]}}
    with pytest.raises(CannotBuild, match="PYTHON_VERSION"):
        python_of(BaseImage("base", DIGEST, {}, config))


def test_base_without_time_of_creation_is_used(tmp_path: Path) -> None:
    registry = FakeRegistry()
    changed_base(registry, lambda manifest, config: config.update(created=None))
    base = asyncio.run(_resolved(registry, tmp_path))
    assert (epoch_of(base), age_of(base, datetime.now(UTC))) == (0, None)


def test_manifest_must_match_its_digest(tmp_path: Path) -> None:
    registry = FakeRegistry()
    base = make_base(registry, "python")
    other = json.dumps({**base.manifest, "annotations": {"x": "y"}}).encode()
    registry.manifests[f"python/{base.digest}"] = (OCI_MANIFEST, other)
    with pytest.raises(BlobCorrupt):
        asyncio.run(_resolved(registry, tmp_path, f"@{base.digest}"))
    entry = {"platform": {"os": "linux", "architecture": "arm64"}, "digest": base.digest}
    registry.add_manifest("python", "3.13", OCI_INDEX, {"manifests": [entry]})
    with pytest.raises(BlobCorrupt):
        asyncio.run(_resolved(registry, tmp_path))


def test_config_must_match_its_digest(tmp_path: Path) -> None:
    registry = FakeRegistry()
    base = make_base(registry, "python")
    digest = base.manifest["config"]["digest"]
    registry.blobs["python"][digest] += b" "
    with pytest.raises(BlobCorrupt):
        asyncio.run(_resolved(registry, tmp_path))


def test_config_larger_than_limit_is_not_read(tmp_path: Path) -> None:
    registry = FakeRegistry()
    huge = b'{"a": "' + bytes(5 << 20) + b'"}'
    changed_base(registry, lambda m, c: m.update(config={**m["config"], "digest": digest_of(huge)}))
    registry.add("python", huge)
    with pytest.raises(BlobCorrupt):
        asyncio.run(_resolved(registry, tmp_path))


def test_blob_larger_than_its_size_is_not_kept(tmp_path: Path) -> None:
    registry = FakeRegistry()
    registry.add("agent", BLOB)
    path = tmp_path / "blob"

    async def work(repository: Repository) -> None:
        await repository.download(DIGEST, 1000, path, print)

    with pytest.raises(BlobCorrupt):
        with_registries(work, registry)
    assert path.stat().st_size <= 1000


def test_base_layer_with_other_content_does_not_reach_the_target(workspace: Workspace) -> None:
    stored = workspace.build()
    workspace.registry.mounts = False
    layer = stored.image.layers[0].digest
    workspace.registry.blobs["python"][layer] = b"x" * len(
        workspace.registry.blobs["python"][layer]
    )
    with pytest.raises(RegistryRefused, match="did not match"):
        workspace.push(stored)
    assert layer not in workspace.registry.blobs.get("agent", {})
