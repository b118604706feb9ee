"""Owns the `docker buildx build` command and what it takes from the developer's environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voicecore.image.model import PLATFORM

# BuildKit's predefined build arguments (docs.docker.com/build/building/variables): they need no
# ARG, and are neither in the image's history nor in cache keys.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")

# Variables of uv and pip about package indexes, UV_INDEX_<NAME>_PASSWORD among them.
_INDEXES = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_\w+|EXTRA_INDEX_URL|INSECURE_HOST|HTTP_TIMEOUT|NO_CACHE)"
    r"|PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)"
)
_CERTIFICATES = "/run/secrets/certificates"

# Like --load, in half the time: a containerd store compresses while it exports, by default at
# level 6, which makes layers 3 % smaller. The classic store compresses on push, in its own way.
_INTO_ENGINE = "type=docker,compression=gzip,compression-level=3"


@dataclass(frozen=True)
class BuildxInputs:
    """Everything that `docker buildx build` builds an image from."""

    context: Path
    """The agent's folder, with its Dockerfile."""
    name: str
    """`repository:tag` of the image in the engine."""
    base: str
    """Base image with its digest."""
    epoch: int
    """Creation time of the image, in seconds since 1970."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    no_cache: bool = False
    copied: bool = False
    """True when `context` is a copy, which is deleted after the build."""


def buildx_argv(
    inputs: BuildxInputs,
    env: Mapping[str, str],
    *,
    progress: str = "plain",
    secrets: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the command that builds `inputs`; it contains no secret.

    `secrets` says where buildx finds each secret: `env=NAME` or `src=FILE`. Proxies are passed by
    name, because their values may contain passwords.
    """
    arguments = {"BASE": inputs.base, "SOURCE_DATE_EPOCH": str(inputs.epoch)}
    options = [
        ("--platform", PLATFORM),
        ("--file", str(inputs.context / "Dockerfile")),
        *(("--build-arg", f"{name}={value}") for name, value in arguments.items()),
        *(("--build-arg", name) for name in proxies_in(env)),
        *(("--label", f"{name}={value}") for name, value in sorted(inputs.labels.items())),
        *(("--secret", f"id={name},{place}") for name, place in (secrets or {}).items()),
        ("--tag", inputs.name),
        ("--progress", progress),
    ]
    # Attestations would turn the image into an index, which contains the time of the build.
    flags = ["--output", _INTO_ENGINE, "--provenance=false", "--sbom=false"]
    flags += ["--no-cache"] if inputs.no_cache else []
    words = [word for option in options for word in option]
    return ["docker", "buildx", "build", *flags, *words, str(inputs.context)]


def proxies_in(env: Mapping[str, str]) -> list[str]:
    """Return the names of the proxy variables in `env`, in either case."""
    return [name for proxy in _PROXIES for name in (proxy, proxy.lower()) if env.get(name)]


def build_environment(env: Mapping[str, str]) -> str:
    """Return a shell file with the developer's package indexes, for RUN lines that mount it.

    It also names the file of certificate authorities, if the developer has one.
    """
    values = {name: value for name, value in env.items() if _INDEXES.fullmatch(name)}
    index = values.get("UV_DEFAULT_INDEX") or values.get("UV_INDEX_URL")
    if index:  # pip installs uv
        values.setdefault("PIP_INDEX_URL", index)
    if env.get("SSL_CERT_FILE"):
        values |= {"SSL_CERT_FILE": _CERTIFICATES, "PIP_CERT": _CERTIFICATES}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
