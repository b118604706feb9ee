"""Debian's docker-registry, as one process on a loopback port with its own storage."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.standins.image.parts import answers, part, running
from voicecore.local.processes.ports import free_port

OCI = "application/vnd.oci.image"
ACCEPT = ", ".join(
    [
        f"{OCI}.index.v1+json",
        f"{OCI}.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


@dataclass(frozen=True)
class Registry:
    """A running registry that asks nobody for a password; `host` is as image names have it."""

    host: str

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def manifest(self, repository: str, reference: str) -> Any:
        """Returns a manifest or index as the registry holds it, decoded."""
        return json.loads(self.get(f"/v2/{repository}/manifests/{reference}"))

    def digest(self, repository: str, reference: str) -> str:
        """Returns the digest that a tag leads to."""
        request = Request(
            f"{self.url}/v2/{repository}/manifests/{reference}",
            headers={"Accept": ACCEPT},
            method="HEAD",
        )
        with urlopen(request) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def blob(self, repository: str, digest: str) -> bytes:
        return self.get(f"/v2/{repository}/blobs/{digest}")

    def tags(self, repository: str) -> list[str]:
        """Returns its tags; none where nothing has been pushed yet."""
        try:
            return json.loads(self.get(f"/v2/{repository}/tags/list"))["tags"] or []
        except HTTPError as error:
            if error.code != 404:
                raise
            return []

    def put_manifest(self, repository: str, tag: str, source: str, of: str = "") -> None:
        """Gives `repository` the image `tag`, or `of`, of `source`, whose blobs it has already."""
        body = self.get(f"/v2/{source}/manifests/{of or tag}")
        kind = {"Content-Type": json.loads(body)["mediaType"]}
        address = f"{self.url}/v2/{repository}/manifests/{tag}"
        urlopen(Request(address, body, kind, method="PUT")).close()

    def get(self, path: str) -> bytes:
        """Returns what a path answers. Raises urllib.error.HTTPError when it refuses."""
        with urlopen(Request(self.url + path, headers={"Accept": ACCEPT})) as answer:
            return answer.read()


@contextmanager
def docker_registry(storage: Path, *, read_only: bool = False) -> Iterator[Registry]:
    """Runs a registry over `storage` until the block ends."""
    port = free_port()
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": True},
            "maintenance": {
                "uploadpurging": {"enabled": False},
                "readonly": {"enabled": read_only},
            },
        },
        # Relative: who comes through the gate must go on through the gate.
        "http": {"addr": f"127.0.0.1:{port}", "relativeurls": True},
    }
    with tempfile.TemporaryDirectory(prefix="voicecore-registry-") as folder:
        file = Path(folder) / "config.yml"
        file.write_text(json.dumps(config))  # YAML is a superset of JSON
        argv = [part("docker-registry"), "serve", str(file)]
        with running(argv, Path(folder) / "log", lambda: answers("127.0.0.1", port)):
            yield Registry(f"127.0.0.1:{port}")
