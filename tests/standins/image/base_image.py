"""The stand-in for public.ecr.aws/docker/library/python:3.13-slim-trixie, from Debian's files.

The tests must run where no registry with the official image can be reached, so Debian's Python is
laid out like the official image. Nothing is emulated: the other platform's files are unpacked,
moved and packed, but never run.
"""

from __future__ import annotations

import datetime
import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from tests.standins.image.registry import OCI, Registry, docker_registry
from tests.standins.image.tools import CACHE

REPOSITORY = "docker/library/python"
TAG = "3.13-slim-trixie"

PLATFORMS = {
    "amd64": {"architecture": "amd64", "os": "linux"},
    "arm64": {"architecture": "arm64", "os": "linux", "variant": "v8"},
}
_MIRROR = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    "http://deb.debian.org/debian trixie main"
)
_PACKAGES = (
    "base-files,base-passwd,bash,dash,coreutils,findutils,grep,sed,tar,gzip,libc-bin,libstdc++6,"
    "ca-certificates,netbase,tzdata,python3.13-minimal,libpython3.13-stdlib,python3-pip-whl"
)
_PYTHON = "usr/local/lib/python3.13"
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


def base_storage() -> Path:
    """Return a registry's storage with the base image; building it takes half a minute.

    It is cached until this file or the machine's certificate authorities change.
    """
    key = hashlib.sha256(Path(__file__).read_bytes() + _authorities().read_bytes()).hexdigest()[:16]
    storage = CACHE / f"base-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not storage.exists():
            for outdated in CACHE.glob("base-*"):
                shutil.rmtree(outdated)
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as folder:
                made = Path(folder) / "storage"
                with docker_registry(made) as registry:
                    _build(Path(folder), registry)
                made.rename(storage)
    return storage


def _authorities() -> Path:
    """Return the file of the machine's certificate authorities, for a proxy before PyPI."""
    return Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or "")


# ---- the files


def _build(work: Path, registry: Registry) -> None:
    roots = {name: work / name for name in PLATFORMS}
    with ThreadPoolExecutor() as pool:
        list(pool.map(_unpack_debian, roots, roots.values()))
        for root in roots.values():
            _lay_out(root)
        version = _run(roots[_native()], "python3.13", "--version").split()[1]
        system = dict(zip(roots, pool.map(_system_layer, roots.values()), strict=True))
        python = dict(zip(roots, pool.map(_python_layer, roots.values()), strict=True))
    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    images = {name: (system[name], python[name]) for name in PLATFORMS}
    _push_index(registry, TAG, images, version, made)


def _native() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def _unpack_debian(architecture: str, root: Path) -> None:
    """Unpack Debian's packages into `root` without running maintainer scripts."""
    _call(
        ["mmdebstrap", "--quiet", "--variant=extract", "--mode=root", "--format=directory"]
        + [f"--architectures={architecture}", "--skip=output/dev", f"--include={_PACKAGES}"]
        + [f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "man", "locale")]
        + ["trixie", str(root), _MIRROR]
    )


def _lay_out(root: Path) -> None:
    """Move Python and pip to /usr/local, as in the official image, and configure the system."""
    usr, local = root / "usr", root / "usr/local"
    for folder in ("bin", "lib"):
        (local / folder).mkdir(parents=True, exist_ok=True)
    (usr / "bin/python3.13").rename(local / "bin/python3.13")
    (usr / "lib/python3.13").rename(root / _PYTHON)
    for name, target in {"python3": "python3.13", "python": "python3", "pip": "pip3"}.items():
        (local / "bin" / name).symlink_to(target)
    # Debian's Python imports from dist-packages (its `site` is frozen), and installs with another
    # prefix than its own.
    (root / _PYTHON / "dist-packages").symlink_to("site-packages")
    _edit(root / _PYTHON / "sysconfig/__init__.py", "'posix_local'\n", "'posix_prefix'\n")
    _edit(root / _PYTHON / "sysconfig/__init__.py", ", 'posix_local')\n", ", 'posix_prefix')\n")
    (root / _PYTHON / "EXTERNALLY-MANAGED").unlink()
    (wheel,) = (usr / "share/python-wheels").glob("pip-*.whl")
    zipfile.ZipFile(wheel).extractall(root / _PYTHON / "site-packages")
    pip = local / "bin/pip3"
    pip.write_text(
        "#!/usr/local/bin/python3.13\n"
        "import sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
    )
    pip.chmod(0o755)
    # The work of the maintainer scripts of ca-certificates, base-passwd and base-files.
    shutil.copyfile(_authorities(), root / _AUTHORITIES)
    for name in ("passwd", "group"):
        shutil.copyfile(usr / f"share/base-passwd/{name}.master", root / "etc" / name)
    (root / "root").mkdir(exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for unneeded in ("etc/apt", "var/lib/apt", "var/cache", "usr/share/python-wheels", "dev"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    for name in ("hostname", "resolv.conf"):
        (root / "etc" / name).unlink(missing_ok=True)
    (root / "dev").mkdir()


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if old not in text:
        raise ValueError(f"{file} has no {old!r}: Debian's Python has changed")
    file.write_text(text.replace(old, new))


def _run(root: Path, *command: str) -> str:
    path = "/usr/local/bin:/usr/bin:/bin"
    return _call(["/usr/bin/env", "-i", f"PATH={path}", "/usr/sbin/chroot", str(root), *command])


def _call(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


# ---- the image


@dataclass(frozen=True)
class Layer:
    """A gzipped tar, and the digest of the tar."""

    content: bytes
    diff_id: str


def _system_layer(root: Path) -> Layer:
    return _layer(root, lambda name: not name.startswith("usr/local/"))


def _python_layer(root: Path) -> Layer:
    return _layer(root, lambda name: name.startswith("usr/local/"))


def _layer(root: Path, wanted: Callable[[str], bool]) -> Layer:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if wanted(name):
                tar.add(path, name, recursive=False)
    raw = plain.getvalue()
    return Layer(gzip.compress(raw, compresslevel=6, mtime=0), _digest(raw))


def _push_index(
    registry: Registry,
    tag: str,
    images: Mapping[str, Iterable[Layer]],
    version: str,
    made: str,
) -> None:
    children: list[dict[str, Any]] = []
    for name, layers in images.items():
        described = _push_image(registry, PLATFORMS[name], list(layers), version, made)
        children.append(described | {"platform": PLATFORMS[name]})
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": children}
    _put_manifest(registry, tag, index)


def _push_image(
    registry: Registry,
    platform: Mapping[str, str],
    layers: list[Layer],
    version: str,
    made: str,
) -> dict[str, Any]:
    config = {
        **platform,
        "created": made,
        "config": {
            "Env": [
                "PATH=/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                f"PYTHON_VERSION={version}",
                # Not in the official image: uv's own authorities do not include the one of a proxy
                # before PyPI.
                f"SSL_CERT_FILE=/{_AUTHORITIES}",
            ],
            "Cmd": ["python3"],
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": made, "created_by": "mmdebstrap --variant=extract trixie"},
            {"created": made, "created_by": "ENV", "empty_layer": True},
            {"created": made, "created_by": "python to /usr/local"},
        ],
    }
    return _put_manifest(
        registry,
        None,
        {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": _put_blob(registry, f"{OCI}.config.v1+json", json.dumps(config).encode()),
            "layers": [
                _put_blob(registry, f"{OCI}.layer.v1.tar+gzip", layer.content) for layer in layers
            ],
        },
    )


def _put_blob(registry: Registry, media_type: str, content: bytes) -> dict[str, Any]:
    begin = f"{registry.url}/v2/{REPOSITORY}/blobs/uploads/"
    with urlopen(Request(begin, method="POST")) as answer:
        place = urljoin(begin, answer.headers["Location"])
    digest = _digest(content)
    headers = {"Content-Type": "application/octet-stream"}
    urlopen(Request(f"{place}&digest={digest}", content, headers, method="PUT")).close()
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _put_manifest(registry: Registry, tag: str | None, manifest: Any) -> dict[str, Any]:
    content = json.dumps(manifest).encode()
    digest, media_type = _digest(content), manifest["mediaType"]
    url = f"{registry.url}/v2/{REPOSITORY}/manifests/{tag or digest}"
    urlopen(Request(url, content, {"Content-Type": media_type}, method="PUT")).close()
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
