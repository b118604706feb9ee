"""Owns image references, parsed as Docker parses them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from voicecore.console.errors import ExitCode, VoicecoreError


class BadReference(VoicecoreError):
    """A text is not a valid image reference."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is not a valid repository name.",
            "A valid one:  123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/my-agent",
            ExitCode.USAGE,
        )


@dataclass(frozen=True)
class Reference:
    """Name of an image or a repository."""

    registry: str
    """`host` or `host:port`; `docker.io` for Docker Hub."""
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def host(self) -> str:
        """Host of the registry's API; for Docker Hub it is not the name in references."""
        return "registry-1.docker.io" if self.registry == "docker.io" else self.registry

    @property
    def name(self) -> str:
        """Name without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """Digest, else tag, else "latest": what to request from the repository."""
        return self.digest or self.tag or "latest"

    def named(self, version: str) -> str:
        """Return the name with another tag or digest."""
        return f"{self.name}{'@' if ':' in version else ':'}{version}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


# distribution/reference, regexp.go and normalize.go.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?:(?P<registry>localhost|(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)|\[[0-9A-Fa-f:]+\]"
    r"|[A-Za-z0-9-]+(?=:\d+/))(?P<port>:\d+)?/)?"
    rf"(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    rf"(?:@(?P<digest>{_DIGEST.pattern}))?",
    re.ASCII,
)


def parse_reference(text: str) -> Reference:
    """Return the reference in `text`, with Docker Hub's short names expanded.

    Raises BadReference.
    """
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise BadReference(text)
    registry = (found["registry"] or "docker.io") + (found["port"] or "")
    repository = found["repository"]
    if registry == "index.docker.io":
        registry = "docker.io"
    if registry == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(registry, repository, found["tag"] or "", found["digest"] or "")


def is_digest(value: object) -> bool:
    """Return whether `value` is a digest: "sha256:" and 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def is_loopback(host: str) -> bool:
    """Return whether `host` (with or without a port) is loopback, where Docker allows http."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
