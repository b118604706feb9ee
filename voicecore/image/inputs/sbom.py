"""Owns the image's SBOM (CycloneDX 1.5): its packages and the base image.

uv exports the packages from the lockfile. This module keeps those that the image's platform
installs, and adds the image and its base. Equal images have equal SBOMs, byte for byte.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from voicecore import __version__
from voicecore.console.errors import VoicecoreError
from voicecore.console.uv_program import uv_program
from voicecore.image.inputs.locked_packages import (
    IMAGE,
    InstallTarget,
    LockedPackage,
    best_wheel,
    packages_for,
)
from voicecore.image.model import BaseImage
from voicecore.image.registry.reference import parse_reference

_IMAGE = "image"
_BASE = "base-image"


class ExportFailed(VoicecoreError):
    """uv could not export the packages; shows uv's message."""


def export(agent: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """Return uv's CycloneDX 1.5 export of the packages locked for `agent`. Raises ExportFailed."""
    run = subprocess.run(
        [uv_program(), "export", "--project", str(agent), "--quiet", "--frozen", "--no-dev",
         "--format", "cyclonedx1.5"],
        env={name: value for name, value in env.items() if name != "VIRTUAL_ENV"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )  # fmt: skip
    if run.returncode != 0:
        raise ExportFailed(
            f"Could not list the packages of {agent.name}/:\n{run.stderr.strip()}",
            f"Run it yourself:  uv export --project {agent.name} --format cyclonedx1.5",
        )
    return json.loads(run.stdout)


def document(
    exported: Mapping[str, Any],
    lock: Mapping[str, Any],
    base: BaseImage,
    *,
    name: str,
    tag: str,
    version: str = "",
    digest: str = "",
    target: InstallTarget = IMAGE,
) -> dict[str, Any]:
    """Return the SBOM of the image `name` with the fingerprint `tag`, built on `base`.

    `exported` is the result of `export`, `lock` the content of uv.lock, and `digest` the digest of
    the image's manifest; empty if it is not known.
    """
    installed = {package.name: package for package in packages_for(lock, target)}
    known = cast("list[dict[str, Any]]", exported.get("components", []))
    components = [
        _package(component, installed[component["name"]], target)
        for component in known
        if component["name"] in installed
        and component.get("version", "") == installed[component["name"]].version
    ]
    kept = {component["bom-ref"] for component in components}
    agent = str(exported["metadata"]["component"]["bom-ref"])
    edges = {
        str(entry["ref"]): sorted(kept & set(entry.get("dependsOn", [])))
        for entry in cast("list[dict[str, Any]]", exported.get("dependencies", []))
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": exported["specVersion"],
        "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'voicecore:{name}:{tag}')}",
        "metadata": {
            **({"timestamp": base.created} if base.created else {}),
            "tools": {"components": [_tool("voicecore", __version__), *_tools_of(exported)]},
            "component": _image(name, tag, version, digest),
        },
        "components": [_base(base), *sorted(components, key=lambda found: found["name"])],
        "dependencies": [
            {"ref": _IMAGE, "dependsOn": [_BASE, *edges.get(agent, [])]},
            {"ref": _BASE},
            *({"ref": ref, "dependsOn": edges.get(ref, [])} for ref in sorted(kept)),
        ],
    }


def _image(name: str, tag: str, version: str, digest: str) -> dict[str, Any]:
    return {
        "type": "container",
        "bom-ref": _IMAGE,
        "name": name,
        "version": version or tag,
        **({"hashes": [_sha256(digest)]} if digest else {}),
        "properties": [{"name": "voicecore:fingerprint", "value": tag}],
    }


def _package(
    component: Mapping[str, Any],
    package: LockedPackage,
    target: InstallTarget,
) -> dict[str, Any]:
    """Return uv's component of a package, with only the file that the image installs."""
    wheel = best_wheel(package.wheels, target)
    files = cast("list[dict[str, Any]]", component.get("externalReferences", []))
    # A package without a usable wheel is compiled from its source distribution.
    used = [file for file in files if wheel and _file_name(file) == wheel]
    used = used or [file for file in files if not _file_name(file).endswith(".whl")]
    hashes = [hash for file in used for hash in file.get("hashes", [])]
    kept = {
        key: value
        for key, value in component.items()
        if key not in ("externalReferences", "properties")
    }
    return {
        **kept,
        **({"hashes": hashes} if hashes else {}),
        **({"externalReferences": used} if used else {}),
    }


def _file_name(file: Mapping[str, Any]) -> str:
    return unquote(str(file.get("url", "")).rsplit("/", 1)[-1])


def _base(base: BaseImage) -> dict[str, Any]:
    reference = parse_reference(base.name)
    place = f"{reference.registry}/{reference.repository}"
    short = reference.repository.rsplit("/", 1)[-1]
    tag = f"&tag={reference.tag}" if reference.tag else ""
    purl_digest = base.digest.replace(":", "%3A")
    return {
        "type": "container",
        "bom-ref": _BASE,
        "name": base.name,
        "version": base.digest,
        # package-url/purl-spec, PURL-TYPES: oci.
        "purl": f"pkg:oci/{short}@{purl_digest}?arch=arm64&repository_url={place}{tag}",
        "hashes": [_sha256(base.digest)],
    }


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}


def _tool(name: str, version: str) -> dict[str, str]:
    return {"type": "application", "name": name, "version": version}


def _tools_of(exported: Mapping[str, Any]) -> list[dict[str, str]]:
    tools = cast("list[dict[str, str]]", exported["metadata"].get("tools", []))
    return [_tool(tool["name"], tool["version"]) for tool in tools]
