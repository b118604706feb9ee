"""The bill of materials: what the image's platform gets, valid, and the same every time."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from voicecore.image.inputs import sbom
from voicecore.image.model import Base

ENV = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
BASE = Base(
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


def test_it_is_valid_cyclonedx_and_the_same_every_time(agent: Path) -> None:
    licences = {"plain": "MIT", "fast": "Apache License 2.0", "compiled": "mit or apache-2.0"}
    made = document(agent, licences=licences, digest="sha256:" + "c" * 64)
    text = json.dumps(made)
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    assert json.dumps(document(agent, licences=licences, digest="sha256:" + "c" * 64)) == text
    assert made["metadata"]["timestamp"] == BASE.created
    assert document(agent, tag="0" * 20)["serialNumber"] != made["serialNumber"]


def test_it_names_what_the_image_has_and_nothing_else(agent: Path) -> None:
    made = document(agent)
    assert [found["name"] for found in made["components"]] == [
        BASE.name, "compiled", "fast", "plain",
    ]  # fmt: skip
    base = made["components"][0]
    assert base["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert base["version"] == BASE.digest


def test_each_package_has_the_hash_of_the_file_that_is_installed(agent: Path) -> None:
    found = {part["name"]: part for part in document(agent)["components"]}
    assert found["fast"]["hashes"] == [{"alg": "SHA-256", "content": f"{3:064x}"}]
    assert found["compiled"]["hashes"] == [{"alg": "SHA-256", "content": f"{1:064x}"}]
    assert [file["url"] for file in found["fast"]["externalReferences"]] == [
        "https://files.example/fast-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"
    ]


def test_it_tells_who_needs_whom(agent: Path) -> None:
    made = document(agent)
    names = {part["bom-ref"]: part["name"] for part in made["components"]} | {"image": "image"}
    needs = {
        names[edge["ref"]]: {names[ref] for ref in edge.get("dependsOn", [])}
        for edge in made["dependencies"]
    }
    assert needs["image"] == {BASE.name, "compiled", "fast", "plain"}
    assert needs["plain"] == {"fast"}
    assert needs[BASE.name] == set()


def test_licences_are_read_from_metadata_new_and_old(tmp_path: Path) -> None:
    texts = {
        "new": "License-Expression: MIT\nLicense: see file\n",
        "old": "License: BSD-3-Clause\n",
        "pasted": "License: Permission is hereby\n        granted\n"
        "Classifier: License :: OSI Approved :: MIT License\n",
        "Class_Only": "Classifier: License :: OSI Approved :: Apache Software License\n",
        "silent": "Summary: nothing\n",
        "unknown": "License: UNKNOWN\n",
    }
    for name, fields in texts.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n{fields}\nText")
    assert sbom.licences_of(sbom.metadata_in(tmp_path)) == {
        "new": "MIT",
        "old": "BSD-3-Clause",
        "pasted": "MIT License",
        "class-only": "Apache Software License",
    }


def test_without_a_lock_the_error_is_uvs_own(agent: Path) -> None:
    (agent / "uv.lock").unlink()
    with pytest.raises(sbom.ExportFailed, match=r"(?i)lockfile"):
        sbom.export(agent, ENV)
