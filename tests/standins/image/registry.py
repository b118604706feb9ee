"""Debian's docker-registry on a loopback port, with its own storage."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.ports import free_port
from tests.standins.image.tools import accepts_connections, running_server, tool

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
    """A running registry that needs no password."""

    host: str
    """Host and port, as in image references."""

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def manifest(self, repository: str, reference: str) -> Any:
        """Return a manifest or index, decoded."""
        return json.loads(self.get(f"/v2/{repository}/manifests/{reference}"))

    def digest(self, repository: str, reference: str) -> str:
        """Return the digest that a tag points to."""
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
        """Return its tags; none if nothing has been pushed yet."""
        try:
            return json.loads(self.get(f"/v2/{repository}/tags/list"))["tags"] or []
        except HTTPError as error:
            if error.code != 404:
                raise
            return []

    def put_manifest(self, repository: str, tag: str, source: str, source_tag: str = "") -> None:
        """Copy the manifest of the image in `source` to `repository`, which has its blobs."""
        body = self.get(f"/v2/{source}/manifests/{source_tag or tag}")
        kind = {"Content-Type": json.loads(body)["mediaType"]}
        address = f"{self.url}/v2/{repository}/manifests/{tag}"
        urlopen(Request(address, body, kind, method="PUT")).close()

    def get(self, path: str) -> bytes:
        """Return the answer of a path. Raises urllib.error.HTTPError if it is an error."""
        with urlopen(Request(self.url + path, headers={"Accept": ACCEPT})) as answer:
            return answer.read()


@contextmanager
def docker_registry(storage: Path, *, read_only: bool = False) -> Iterator[Registry]:
    """Run a registry with `storage` during the block."""
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
        # Relative URLs, so that clients of the proxy stay with the proxy.
        "http": {"addr": f"127.0.0.1:{port}", "relativeurls": True},
    }
    with tempfile.TemporaryDirectory(prefix="voicecore-registry-") as folder:
        file = Path(folder) / "config.yml"
        file.write_text(json.dumps(config))  # YAML is a superset of JSON
        argv = [tool("docker-registry"), "serve", str(file)]
        ready = partial(accepts_connections, "127.0.0.1", port)
        with running_server(argv, Path(folder) / "log", ready):
            yield Registry(f"127.0.0.1:{port}")
