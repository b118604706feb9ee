"""Owns what moto's ECR lacks: real digests and sizes, tokens, images in a real registry."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud

_TOKEN_LASTS = timedelta(hours=12)  # ECR User Guide, registry authentication
_ACCEPT = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.manifest.v1+json", "docker.distribution.manifest.v2+json",
        "oci.image.index.v1+json", "docker.distribution.manifest.list.v2+json",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Registry:
    """A real registry behind ECR: images that are pushed there are in ECR's repositories.

    `url` needs no password. `issue` returns a password for pushes through the registry's proxy.
    `repositories` gets the names that exist, so that the proxy can reject all others.
    """

    url: str
    issue: Callable[[], str] = lambda: secrets.token_urlsafe(200)
    repositories: Callable[[set[str]], None] = lambda names: None

    def manifests(self, repository: str) -> dict[str, str]:
        """Return manifests by tag."""
        try:
            tags = json.loads(self._get(f"/v2/{repository}/tags/list"))["tags"] or []
        except urllib.error.HTTPError:
            return {}
        return {tag: self._get(f"/v2/{repository}/manifests/{tag}") for tag in tags}

    def architectures(self, repository: str, digest: str) -> set[str]:
        """Return the architectures of an image, or of the images of an index."""
        found = json.loads(self._get(f"/v2/{repository}/manifests/{digest}"))
        if "config" not in found:
            return {each["platform"]["architecture"] for each in found["manifests"]}
        config = json.loads(self._get(f"/v2/{repository}/blobs/{found['config']['digest']}"))
        return {config["architecture"]}

    def delete(self, repository: str, digest: str) -> None:
        request = urllib.request.Request(
            f"{self.url}/v2/{repository}/manifests/{digest}", method="DELETE"
        )
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.HTTPError as e:
            if e.code != 404:
                raise

    def _get(self, path: str) -> str:
        request = urllib.request.Request(self.url + path, headers={"Accept": _ACCEPT})
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()


def _backend(call: Call) -> Any:
    return get_backend("ecr")[call.account][call.region]


def _digest(manifest: str) -> str:
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


def token(cloud: Cloud, call: Call) -> dict[str, Any]:
    registry: Registry | None = cloud.state.get(("registry",))
    password = registry.issue() if registry else secrets.token_urlsafe(200)
    text = base64.b64encode(f"AWS:{password}".encode()).decode()
    endpoint = f"https://{call.account}.dkr.ecr.{call.region}.amazonaws.com"
    data = {
        "authorizationToken": text,
        "expiresAt": cloud.clock.now() + _TOKEN_LASTS,
        "proxyEndpoint": endpoint,
    }
    return {"authorizationData": [data]}


def put_image(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    _correct_digests(_backend(call).repositories[call.params["repositoryName"]])
    answer["image"]["imageId"]["imageDigest"] = _digest(call.params["imageManifest"])
    return answer


def _correct_digests(repository: Any) -> None:
    """Correct the digests: moto's are not those of the manifests."""
    for image in repository.images:
        image._image_digest = _digest(image.image_manifest)


def read_images(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer any read of a repository's images, after syncing what was pushed meanwhile."""
    sync_registry(cloud, call.account, call.region)
    answer = call.moto()
    if "imageDetails" in answer:
        images = _backend(call).repositories[call.params["repositoryName"]].images
        sizes = {image.get_image_digest(): _size(image.image_manifest) for image in images}
        for detail in answer["imageDetails"]:
            detail["imageSizeInBytes"] = sizes[detail["imageDigest"]]
    return answer


def delete_images(cloud: Cloud, call: Call) -> dict[str, Any]:
    sync_registry(cloud, call.account, call.region)
    answer = call.moto()
    _delete_from_registry(cloud, call.params["repositoryName"], answer["imageIds"])
    return answer


def delete_repository(cloud: Cloud, call: Call) -> dict[str, Any]:
    sync_registry(cloud, call.account, call.region)
    name = call.params["repositoryName"]
    found = _backend(call).repositories.get(name)
    ids = [image.image_id for image in found.images] if found else []
    answer = call.moto()
    _delete_from_registry(cloud, name, ids)
    _publish_names(cloud, call)
    return answer


def create_repository(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    _publish_names(cloud, call)
    return answer


def _publish_names(cloud: Cloud, call: Call) -> None:
    registry: Registry | None = cloud.state.get(("registry",))
    if registry:
        registry.repositories(set(_backend(call).repositories))


def _delete_from_registry(cloud: Cloud, name: str, ids: list[dict[str, str]]) -> None:
    registry: Registry | None = cloud.state.get(("registry",))
    for digest in {id["imageDigest"] for id in ids if registry and "imageDigest" in id}:
        assert registry is not None
        registry.delete(name, digest)


def sync_registry(cloud: Cloud, account: str, region: str) -> None:
    """Add what was pushed to the registry to ECR."""
    registry: Registry | None = cloud.state.get(("registry",))
    if registry is None:
        return
    backend = get_backend("ecr")[account][region]
    for name, repository in backend.repositories.items():
        known = {
            tag: image.image_manifest for image in repository.images for tag in image.image_tags
        }
        for tag, manifest in registry.manifests(name).items():
            if known.get(tag) != manifest:
                backend.put_image(name, manifest, tag, json.loads(manifest).get("mediaType"))
        _correct_digests(repository)


def _size(manifest: str) -> int:
    parsed = json.loads(manifest)
    parts = [parsed["config"], *parsed["layers"]] if "layers" in parsed else parsed["manifests"]
    return sum(part["size"] for part in parts)


HANDLERS = {
    ("ecr", "GetAuthorizationToken"): token,
    ("ecr", "PutImage"): put_image,
    ("ecr", "DescribeImages"): read_images,
    ("ecr", "ListImages"): read_images,
    ("ecr", "BatchGetImage"): read_images,
    ("ecr", "BatchDeleteImage"): delete_images,
    ("ecr", "CreateRepository"): create_repository,
    ("ecr", "DeleteRepository"): delete_repository,
}
