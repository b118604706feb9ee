"""The SBOM: valid, reproducible, and limited to the image's platform."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from voicecore.image.inputs import sbom
from voicecore.image.model import BaseImage

ENV = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
BASE = BaseImage(
    "public.ecr.aws/docker/library/python:3.13-slim-trixie",
    "sha256:" + "b" * 64,
    manifest={},
    config={"created": "2026-11-01T00:00:00Z"},
)
PYPROJECT = """
[project]
name = "my-agent"
version = "0.1.0"
requires-python = ">=3.12"
dependencies = ["compiled", "fast", "plain"]
[dependency-groups]
dev = ["linter"]
[tool.uv]
package = false
"""


def entry(name: str, *files: str, more: str = "") -> str:
    hashes = {file: f"sha256:{number:064x}" for number, file in enumerate(files, 1)}
    rows = {
        file: f'{{ url = "https://files.example/{file}", hash = "{hashes[file]}", size = 1 }}'
        for file in files
    }
    wheels = ", ".join(row for file, row in rows.items() if file.endswith(".whl"))
    source = next((row for file, row in rows.items() if file.endswith(".tar.gz")), "")
    return (
        f'\n[[package]]\nname = "{name}"\nversion = "1.0"\n'
        'source = { registry = "https://pypi.org/simple" }\n'
        + more
        + (f"sdist = {source}\n" if source else "")
        + f"wheels = [{wheels}]\n"
    )


LOCK = (
    """
version = 1
revision = 3
requires-python = ">=3.12"
"""
    + entry("colorama", "colorama-1.0-py3-none-any.whl")
    + entry("compiled", "compiled-1.0.tar.gz", "compiled-1.0-cp313-cp313-win_amd64.whl")
    + entry(
        "fast",
        "fast-1.0.tar.gz",
        "fast-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
        "fast-1.0-cp313-cp313-manylinux_2_28_aarch64.whl",
    )
    + entry("linter", "linter-1.0-py3-none-any.whl")
    + """
[[package]]
name = "my-agent"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "compiled" }, { name = "fast" }, { name = "plain" }]
[package.dev-dependencies]
dev = [{ name = "linter" }]
[package.metadata]
requires-dist = [{ name = "compiled" }, { name = "fast" }, { name = "plain" }]
[package.metadata.requires-dev]
dev = [{ name = "linter" }]
"""
    + entry(
        "plain",
        "plain-1.0-py3-none-any.whl",
        more='dependencies = [{ name = "colorama", marker = "sys_platform == \'win32\'" }, '
        '{ name = "fast" }]\n',
    )
)


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "uv.lock").write_text(LOCK)
    return folder


def document(agent: Path, **more: Any) -> dict[str, Any]:
    lock = tomllib.loads((agent / "uv.lock").read_text())
    given = {"name": "my-agent", "tag": "f" * 20, **more}
    return sbom.document(sbom.export(agent, ENV), lock, BASE, **given)


@pytest.mark.slow
def test_sbom_is_valid_cyclonedx_and_reproducible(agent: Path) -> None:
    # Takes a second to load, which each process of the unit tests would spend on collection.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    result = document(agent, digest="sha256:" + "c" * 64)
    text = json.dumps(result)
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    assert json.dumps(document(agent, digest="sha256:" + "c" * 64)) == text
    assert result["metadata"]["timestamp"] == BASE.created
    assert document(agent, tag="0" * 20)["serialNumber"] != result["serialNumber"]


def test_sbom_lists_base_and_installed_packages_only(agent: Path) -> None:
    result = document(agent)
    assert [found["name"] for found in result["components"]] == [
        BASE.name, "compiled", "fast", "plain",
    ]  # fmt: skip
    base = result["components"][0]
    assert base["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert base["version"] == BASE.digest


def test_package_has_hash_of_installed_file(agent: Path) -> None:
    found = {part["name"]: part for part in document(agent)["components"]}
    assert found["fast"]["hashes"] == [{"alg": "SHA-256", "content": f"{3:064x}"}]
    assert found["compiled"]["hashes"] == [{"alg": "SHA-256", "content": f"{1:064x}"}]
    assert [file["url"] for file in found["fast"]["externalReferences"]] == [
        "https://files.example/fast-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"
    ]


def test_sbom_has_dependencies(agent: Path) -> None:
    result = document(agent)
    names = {part["bom-ref"]: part["name"] for part in result["components"]} | {"image": "image"}
    needs = {
        names[edge["ref"]]: {names[ref] for ref in edge.get("dependsOn", [])}
        for edge in result["dependencies"]
    }
    assert needs["image"] == {BASE.name, "compiled", "fast", "plain"}
    assert needs["plain"] == {"fast"}
    assert needs[BASE.name] == set()


def test_sbom_describes_image_by_version_fingerprint_and_digest(agent: Path) -> None:
    digest = "sha256:" + "c" * 64
    image = document(agent, version="0.1.0", digest=digest)["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == ("container", "my-agent", "0.1.0")
    assert image["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert image["properties"] == [{"name": "voicecore:fingerprint", "value": "f" * 20}]
    unpushed = document(agent)["metadata"]["component"]
    assert unpushed["version"] == "f" * 20
    assert "hashes" not in unpushed


def test_missing_lock_shows_uvs_message(agent: Path) -> None:
    (agent / "uv.lock").unlink()
    with pytest.raises(sbom.ExportFailed, match=r"(?i)lockfile"):
        sbom.export(agent, ENV)
