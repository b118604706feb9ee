"""The name of an image, read as Docker reads it. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from voicecore.console.errors import ExitCode, VoicecoreError


class BadReference(VoicecoreError):
    """A text names no image or repository."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} names no repository of a registry.",
            "Such names look like  123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/my-agent",
            ExitCode.USAGE,
        )


@dataclass(frozen=True)
class Reference:
    """The name of an image, as Docker reads one."""

    registry: str
    """`host` or `host:port`; `docker.io` for Docker Hub."""
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def host(self) -> str:
        """Who speaks the registry's API; Docker Hub's name is not that of its registry."""
        return "registry-1.docker.io" if self.registry == "docker.io" else self.registry

    @property
    def name(self) -> str:
        """The name without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What to ask the repository for: the digest, else the tag, else "latest"."""
        return self.digest or self.tag or "latest"

    def named(self, version: str) -> str:
        """The name with another tag or digest."""
        return f"{self.name}{'@' if ':' in version else ':'}{version}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


# distribution/reference, regexp.go and normalize.go.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"(?:(?P<registry>localhost|(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)|\[[0-9A-Fa-f:]+\]"
    r"|[A-Za-z0-9-]+(?=:\d+/))(?P<port>:\d+)?/)?"
    rf"(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


def parse_reference(text: str) -> Reference:
    """The image or repository that `text` names, with Docker Hub's short names made long.

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


def is_loopback(host: str) -> bool:
    """Whether `host` (with or without a port) is this machine, where Docker too allows http."""
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
