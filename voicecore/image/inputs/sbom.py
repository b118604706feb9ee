"""The image's bill of materials (CycloneDX 1.5): its packages, and the base that they stand on.

uv writes the document from the lockfile; here it is cut down to what the image's platform gets,
and told of the image itself. The same image has the same document, to the byte.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import packaging.licenses
from packaging.utils import canonicalize_name

from voicecore import __version__
from voicecore.console.errors import VoicecoreError
from voicecore.image.inputs import lockfile
from voicecore.image.model import Base
from voicecore.image.registry.reference import parse_reference

_IMAGE = "image"
_BASE = "base-image"

# Older packages say their licence in a classifier; its last part reads best.
_CLASSIFIER = "License :: "
# What stands in a field when somebody pasted the licence itself.
_NAME_LENGTH = 100


class ExportFailed(VoicecoreError):
    """uv could not write the packages' part; carries its words."""


def export(agent: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """What uv says of the packages locked for `agent`, as CycloneDX 1.5. Raises ExportFailed."""
    import uv

    run = subprocess.run(
        [uv.find_uv_bin(), "export", "--project", str(agent), "--quiet", "--frozen", "--no-dev",
         "--format", "cyclonedx1.5"],
        env={name: value for name, value in env.items() if name != "VIRTUAL_ENV"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )  # fmt: skip
    if run.returncode != 0:
        raise ExportFailed(
            f"The packages of {agent.name}/ could not be listed:\n{run.stderr.strip()}",
            f"Try it by hand:  uv export --project {agent.name} --format cyclonedx1.5",
        )
    return json.loads(run.stdout)


def document(
    exported: Mapping[str, Any],
    lock: Mapping[str, Any],
    base: Base,
    *,
    name: str,
    tag: str,
    version: str = "",
    digest: str = "",
    licences: Mapping[str, str] | None = None,
    target: lockfile.Target = lockfile.IMAGE,
) -> dict[str, Any]:
    """The bill of materials of the image `name` with the fingerprint `tag`, on `base`. Pure.

    `exported` is what `export` gave, `lock` what uv.lock says, `digest` the image's manifest if it
    is known, `licences` what `licences_of` found.
    """
    installed = {package.name: package for package in lockfile.needed(lock, target)}
    known = cast("list[dict[str, Any]]", exported.get("components", []))
    components = [
        _package(component, installed[component["name"]], target, licences or {})
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
            "component": {
                "type": "container",
                "bom-ref": _IMAGE,
                "name": name,
                "version": version or tag,
                **({"hashes": [_sha256(digest)]} if digest else {}),
                "properties": [{"name": "voicecore:fingerprint", "value": tag}],
            },
        },
        "components": [_base(base), *sorted(components, key=lambda found: found["name"])],
        "dependencies": [
            {"ref": _IMAGE, "dependsOn": [_BASE, *edges.get(agent, [])]},
            {"ref": _BASE},
            *({"ref": ref, "dependsOn": edges.get(ref, [])} for ref in sorted(kept)),
        ],
    }


def licences_of(metadata: Iterable[str]) -> dict[str, str]:
    """The licence by package name, from the texts of METADATA files.

    An SPDX expression where it is one, else what the package's author wrote.
    """
    found: dict[str, str] = {}
    for text in metadata:
        fields = HeaderParser().parsestr(text)
        licence = _licence(
            str(fields.get("License-Expression") or ""),
            str(fields.get("License") or ""),
            [str(line) for line in fields.get_all("Classifier") or ()],
        )
        if licence:
            found[canonicalize_name(str(fields["Name"]))] = licence
    return found


def metadata_in(packages: Path) -> list[str]:
    """The texts of the METADATA files of what is installed in a folder."""
    files = sorted(packages.glob("*.dist-info/METADATA"))
    return [file.read_text(encoding="utf-8", errors="replace") for file in files]


def _licence(expression: str, free: str, classifiers: Iterable[str]) -> str:
    # A licence pasted whole is no name of one; nor is a reference to a file.
    named = free.strip() if "\n" not in free.strip() and len(free) <= _NAME_LENGTH else ""
    classified = [
        line.removeprefix(_CLASSIFIER).rsplit(" :: ", 1)[-1]
        for line in classifiers
        if line.startswith(_CLASSIFIER)
    ]
    given = expression or named or ", ".join(classified)
    return "" if given.upper() == "UNKNOWN" else given


def _package(
    component: Mapping[str, Any],
    package: lockfile.Locked,
    target: lockfile.Target,
    licences: Mapping[str, str],
) -> dict[str, Any]:
    """One package: of its files only the one that the image's platform installs."""
    wheel = lockfile.best(package.wheels, target)
    files = cast("list[dict[str, Any]]", component.get("externalReferences", []))
    # One that has no usable wheel is compiled from what there is: its source.
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
        **({"licenses": [_choice(licences[package.name])]} if package.name in licences else {}),
        **({"externalReferences": used} if used else {}),
    }


def _file_name(file: Mapping[str, Any]) -> str:
    return unquote(str(file.get("url", "")).rsplit("/", 1)[-1])


def _choice(licence: str) -> dict[str, Any]:
    try:
        return {"expression": packaging.licenses.canonicalize_license_expression(licence)}
    except packaging.licenses.InvalidLicenseExpression:
        return {"license": {"name": licence}}


def _base(base: Base) -> dict[str, Any]:
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
