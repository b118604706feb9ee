"""A small agent, its packages as local wheels, and a base image: all that a build needs."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import uv

from tests.standins.image.in_process_registry import FakeRegistry
from voicecore.image.model import BaseImage
from voicecore.image.registry.manifests import OCI_MANIFEST

LIBRARY = f"usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


# A short version of the prune.py in generated projects.
PRUNE = """
import compileall, json, pathlib, py_compile, sys
from importlib.metadata import distributions
part, folder = sys.argv[1], pathlib.Path(sys.argv[2])
for unread in ("*.pyi", ".lock", "internal/prune.py", "uv.lock"):
    for path in folder.glob(unread):
        path.unlink()
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir(folder, quiet=2, stripdir=str(folder), invalidation_mode=mode)
if part == "library":
    for path in folder.rglob("*.py"):
        path.unlink()
if part == "packages":
    found = [{"name": d.name, "version": d.version, "bytes": 100} for d in
             sorted(distributions(path=[str(folder)]), key=lambda d: d.name)]
    (folder / "PACKAGES.json").write_text(json.dumps(found))
"""


def make_wheel(folder: Path, name: str, tag: str = "py3-none-any") -> Path:
    """Write a wheel of one module, with a type stub that no image needs."""
    files = {
        f"{name}.py": f'"""The module {name}."""\n\nNAME = "{name}"\n',
        f"{name}.pyi": "NAME: str\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = [f"{path},{_sum(text)},{len(text)}" for path, text in files.items()]
    record += [f"{name}-1.0.dist-info/RECORD,,"]
    wheel = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "\n".join(record) + "\n")
    return wheel


def _sum(text: str) -> str:
    found = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={found.decode().rstrip('=')}"


def make_agent(folder: Path, *wheels: Path) -> Path:
    """Write an agent that requires `wheels`, with a lockfile and a prune.py."""
    agent = folder / "agent"
    agent.mkdir()
    names = [wheel.name.partition("-")[0] for wheel in wheels]
    sources = "".join(
        f'{name} = {{ path = "{wheel}" }}\n' for name, wheel in zip(names, wheels, strict=True)
    )
    (agent / "pyproject.toml").write_text(
        f'[project]\nname = "an-agent"\nversion = "0.1.0"\nrequires-python = ">={PYTHON}"\n'
        f"dependencies = {json.dumps(names)}\n[tool.uv]\npackage = false\n"
        f"[tool.uv.sources]\n{sources}"
    )
    (agent / "bot.py").write_text("print('hello')\n")
    (agent / "run.sh").write_text("#!/bin/sh\n")
    (agent / "run.sh").chmod(0o755)
    (agent / "internal").mkdir()
    (agent / "internal/prune.py").write_text(PRUNE)
    lock = [uv.find_uv_bin(), "lock", "--quiet", "--project", str(agent), "--python", PYTHON]
    subprocess.run(lock, env=uv_env(), check=True)
    return agent


def uv_env() -> dict[str, str]:
    """Return the environment of uv, which needs no network."""
    return {**os.environ, "UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS": "never"}


def make_layer(files: dict[str, str]) -> bytes:
    """Return a gzipped tar."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return plain.getvalue()


def make_base(registry: FakeRegistry, repository: str, python: str = "3.13.1") -> BaseImage:
    """Push a base of two layers to `registry`, with Docker's media types like most images."""
    layers = [
        make_layer({f"{LIBRARY}/os.py": "first", f"{LIBRARY}/old.py": "old", "etc/issue": "base"}),
        make_layer({f"{LIBRARY}/os.py": "second = 2", f"{LIBRARY}/.wh.old.py": ""}),
    ]
    config: dict[str, Any] = {
        "architecture": "arm64",
        "os": "linux",
        "variant": "v8",
        "created": "2026-10-01T12:00:00Z",
        "container": "the container that built it",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin", f"PYTHON_VERSION={python}"],
            "Cmd": ["python3"],
            "Hostname": "abc",
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64, "sha256:" + "2" * 64]},
        "history": [{"created": "2026-10-01T12:00:00Z", "created_by": "ADD rootfs.tar /"}],
    }
    raw = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": registry.add(repository, raw),
            "size": len(raw),
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "digest": registry.add(repository, layer),
                "size": len(layer),
            }
            for layer in layers
        ],
    }
    digest = registry.add_manifest(repository, "3.13", OCI_MANIFEST, manifest)
    return BaseImage("registry.test/python:3.13", digest, manifest, config)
