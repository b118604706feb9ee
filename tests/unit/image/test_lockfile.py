"""The lockfile: created, checked, and searched for packages without a usable wheel."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import uv

from voicecore.console.errors import ExitCode
from voicecore.image.inputs import locked_packages, lockfile
from voicecore.scaffold.render import dockerfile_of

TEMPLATES = Path(__file__).parents[3] / "templates"
ENV = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
AGENT = """
version = 1

[[package]]
name = "my-agent"
version = "0.1.0"
source = { virtual = "." }
"""


def package(name: str, *wheel_tags: str, version: str = "1.0", more: str = "") -> str:
    stem = f"https://files.example/{name.replace('-', '_')}-{version}"
    files = ", ".join(f'{{ url = "{stem}-{tags}.whl", hash = "sha256:0" }}' for tags in wheel_tags)
    return (
        f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
        f'source = {{ registry = "https://pypi.org/simple" }}\nwheels = [{files}]\n{more}\n'
    )


def missing(lock: str) -> dict[str, tuple[str, ...]]:
    return {
        found.name: found.required_by
        for found in locked_packages.without_wheel(tomllib.loads(lock))
    }


@pytest.mark.parametrize(
    "tags",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp38-abi3-manylinux_2_24_aarch64",
        "cp313-none-manylinux_2_28_aarch64",
        "py3-none-manylinux_2_17_aarch64",
        "py3-none-linux_aarch64",
    ],
)
def test_wheel_tags_that_image_can_install(tags: str) -> None:
    lock = AGENT + 'dependencies = [{ name = "one" }]' + package("one", tags)
    assert missing(lock) == {}


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        (["cp313-cp313-manylinux_2_28_x86_64", "cp313-cp313-win_arm64"], "no wheel for aarch64"),
        (["cp313-cp313-macosx_11_0_arm64"], "no wheel for aarch64"),
        (["cp313-cp313-musllinux_1_2_aarch64"], "another Python or libc (musllinux_1_2_aarch64)"),
        (["cp312-cp312-manylinux_2_28_aarch64"], "another Python or libc (manylinux_2_28_aarch64)"),
        (["cp313-cp313t-manylinux_2_28_aarch64"], "another Python or libc"),
        (["cp313-cp313-manylinux_2_34_aarch64"], "another Python or libc (manylinux_2_34_aarch64)"),
        (["cp314-abi3-manylinux_2_28_aarch64"], "another Python or libc"),
        ([], "source only"),
    ],
)
def test_package_without_wheel_is_named_with_reason(
    tags: list[str], why: str, tmp_path: Path
) -> None:
    lock = AGENT + 'dependencies = [{ name = "one" }]' + package("one", *tags)
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "uv.lock").write_text(lock)
    with pytest.raises(lockfile.NoWheel) as refusal:
        lockfile.require_wheels(agent, lockfile.read_lock(agent))
    assert "one 1.0" in refusal.value.message
    assert why in refusal.value.message
    assert "required by agent" in refusal.value.message
    assert "emulated" in refusal.value.message
    hint = refusal.value.hint or ""
    assert "voicecore build --builder codebuild --push" in hint
    assert 'exclude-dependencies = ["one"]' in hint
    assert "uv lock --project agent" in hint


def test_packages_that_require_it_are_named() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "top" }, { name = "other" }]'
        + package("top", "py3-none-any", more='dependencies = [{ name = "deep" }]')
        + package("other", "py3-none-any", more='dependencies = [{ name = "deep" }]')
        + package("deep")
    )
    assert missing(lock) == {"deep": ("other", "top")}


def test_other_platforms_and_dev_dependencies_are_ignored() -> None:
    lock = (
        AGENT
        + """dependencies = [
            { name = "windows", marker = "sys_platform == 'win32'" },
            { name = "intel", marker = "platform_machine == 'x86_64'" },
            { name = "old", marker = "python_full_version < '3.13'" },
            { name = "jit", marker = "implementation_name == 'pypy'" },
        ]
        [package.dev-dependencies]
        dev = [{ name = "linter" }]
        [package.optional-dependencies]
        video = [{ name = "film" }]
        """
        + "".join(package(name) for name in ("windows", "intel", "old", "jit", "linter", "film"))
    )
    assert missing(lock) == {}


def test_only_requested_extras_are_followed() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "pipe", extra = ["sound"] }]'
        + package(
            "pipe",
            "py3-none-any",
            more='dependencies = [{ name = "tube" }]\n[package.optional-dependencies]\n'
            'sound = [{ name = "codec" }, { name = "pipe", extra = ["both"] }]\n'
            'both = [{ name = "mixer" }]\nfilm = [{ name = "video" }]',
        )
        + "".join(package(name) for name in ("codec", "mixer", "tube", "video"))
    )
    assert missing(lock) == {name: ("pipe",) for name in ("codec", "mixer", "tube")}
    required_by = {
        found.name: found.required_by for found in locked_packages.packages_for(tomllib.loads(lock))
    }
    assert required_by["pipe"] == ("agent",)  # not itself, for its extra


def test_version_for_image_is_selected() -> None:
    lock = (
        AGENT
        + """dependencies = [
            { name = "two", version = "1.0", marker = "python_full_version < '3.13'" },
            { name = "two", version = "2.0", marker = "python_full_version >= '3.13'" },
        ]"""
        + package("two", version="1.0")
        + package("two", "py3-none-any", version="2.0")
    )
    assert missing(lock) == {}
    assert [found.version for found in locked_packages.packages_for(tomllib.loads(lock))] == ["2.0"]


def test_packages_that_only_this_machine_can_get_need_no_wheel() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "forked" }, { name = "local" }]\n'
        + '[[package]]\nname = "forked"\nversion = "1"\n'
        + 'source = { git = "https://example.com/forked?rev=main#0123" }\n'
        + '[[package]]\nname = "local"\nversion = "1"\n'
        + 'source = { path = "local-1-py3-none-any.whl" }\n'
        + 'wheels = [{ filename = "local-1-py3-none-any.whl" }]\n'
    )
    assert missing(lock) == {}
    here = [found.name for found in locked_packages.packages_for(tomllib.loads(lock))]
    assert here == ["forked", "local"]


def test_escaped_plus_in_wheel_url_is_decoded() -> None:
    lock = AGENT + 'dependencies = [{ name = "torch" }]' + package("torch", version="2.0%2Bcpu")
    wheel = "torch-2.0%2Bcpu-cp313-cp313-manylinux_2_28_aarch64.whl"
    lock = lock.replace(
        "wheels = []", f'wheels = [{{ url = "https://files.example/{wheel}", hash = "sha256:0" }}]'
    )
    assert missing(lock) == {}


def test_best_wheel_prefers_this_python() -> None:
    names = [
        "one-1.0-py3-none-any.whl",
        "one-1.0-cp39-abi3-manylinux_2_17_aarch64.whl",
        "one-1.0-cp313-cp313-manylinux_2_17_aarch64.whl",
        "one-1.0-cp313-cp313-manylinux_2_28_aarch64.whl",
        "one-1.0-cp313-cp313-manylinux_2_34_aarch64.whl",
    ]
    assert locked_packages.best_wheel(names) == names[3]
    assert locked_packages.best_wheel(names[:2]) == names[1]
    assert locked_packages.best_wheel(["no-wheel.whl"]) is None


def test_circular_requirements_end() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "a" }]'
        + package("a", "py3-none-any", more='dependencies = [{ name = "b" }]')
        + package("b", more='dependencies = [{ name = "a" }]')
    )
    assert missing(lock) == {"b": ("a",)}


def test_install_target_equals_that_of_dockerfile() -> None:
    dockerfile = dockerfile_of("agent")
    platform = re.search(r"--python-platform[ =](\w+)-manylinux_(\d+)_(\d+)", dockerfile)
    assert platform, "the Dockerfile has no manylinux platform"
    machine, major, minor = platform.groups()
    assert (machine, (int(major), int(minor))) == (
        locked_packages.IMAGE.machine,
        locked_packages.IMAGE.glibc,
    )
    python = re.search(r"ARG BASE=.*python:(\d+)\.(\d+)", dockerfile)
    assert python, "the Dockerfile's base has no Python version"
    assert (int(python[1]), int(python[2])) == locked_packages.IMAGE.python


# ---- with real uv and local packages, without network or index


def wheel(folder: Path, name: str, version: str, requires: tuple[str, ...] = ()) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {line}\n" for line in requires),
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    record = f"{stem}.dist-info/RECORD"
    files[record] = "".join(f"{path},sha256={hashes[path]},\n" for path in files) + f"{record},,\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def sdist(folder: Path, name: str, version: str) -> None:
    text = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n".encode()
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))


def project(folder: Path, *requirements: str) -> Path:
    agent = folder / "agent"
    agent.mkdir(exist_ok=True)
    listed = ", ".join(f'"{requirement}"' for requirement in requirements)
    (agent / "pyproject.toml").write_text(
        '[project]\nname = "my-agent"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{listed}]\n[tool.uv]\npackage = false\nno-index = true\n"
        f'find-links = ["{folder}"]\n'
    )
    return agent


def test_lock_is_created_once_and_then_checked(tmp_path: Path) -> None:
    wheel(tmp_path, "one", "1.0")
    agent = project(tmp_path, "one")
    env = ENV | {"VIRTUAL_ENV": "/nowhere"}
    assert lockfile.ensure_lock(agent, env) is True
    before = (agent / "uv.lock").read_bytes()
    assert lockfile.ensure_lock(agent, env) is False
    assert (agent / "uv.lock").read_bytes() == before
    lockfile.require_wheels(agent, lockfile.read_lock(agent))


def test_outdated_lock_is_reported_and_unchanged(tmp_path: Path) -> None:
    wheel(tmp_path, "one", "1.0")
    wheel(tmp_path, "two", "1.0")
    agent = project(tmp_path, "one")
    lockfile.ensure_lock(agent, ENV)
    before = (agent / "uv.lock").read_bytes()
    project(tmp_path, "one", "two")
    with pytest.raises(lockfile.LockOutdated) as refusal:
        lockfile.ensure_lock(agent, ENV)
    assert "uv lock --project agent" in (refusal.value.hint or "")
    assert refusal.value.exit_code is ExitCode.BAD_PROJECT
    assert (agent / "uv.lock").read_bytes() == before


def test_invalid_lock_is_reported(tmp_path: Path) -> None:
    agent = project(tmp_path)
    (agent / "uv.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(lockfile.BadLock, match=r"Could not read agent/uv\.lock"):
        lockfile.ensure_lock(agent, ENV)
    with pytest.raises(lockfile.BadLock):
        lockfile.read_lock(agent)


def test_unresolvable_requirement_shows_uvs_message(tmp_path: Path) -> None:
    agent = project(tmp_path, "does-not-exist")
    with pytest.raises(lockfile.LockFailed, match="does-not-exist") as failure:
        lockfile.ensure_lock(agent, ENV)
    assert "uv lock --project agent" in (failure.value.hint or "")
    assert not (agent / "uv.lock").exists()


@pytest.fixture
def pipecats(tmp_path: Path) -> Path:
    """Two releases of Pipecat; only the new one requires a package without a wheel."""
    wheel(tmp_path, "pipecat-ai", "1.4.0")
    wheel(tmp_path, "pipecat-ai", "1.14.0", requires=("docopt",))
    sdist(tmp_path, "docopt", "0.6.2")
    return tmp_path


def resolve(requirement: str, links: Path) -> subprocess.CompletedProcess[str]:
    """Resolve with wheels only."""
    return subprocess.run(
        [uv.find_uv_bin(), "pip", "compile", "-", "--no-index", "--find-links", str(links),
         "--only-binary", ":all:", "--python-platform", "aarch64-manylinux_2_28"],
        input=requirement, capture_output=True, text=True, cwd=links,
    )  # fmt: skip


def test_without_minimum_version_missing_wheel_selects_old_pipecat(pipecats: Path) -> None:
    assert "pipecat-ai==1.4.0" in resolve("pipecat-ai", pipecats).stdout


def test_generated_minimum_version_makes_missing_wheel_an_error(pipecats: Path) -> None:
    template = (TEMPLATES / "_shared" / "agent" / "pyproject.toml.jinja").read_text()
    versions = re.search(r'"pipecat-ai\[.*\](?P<versions>[^"\]]*)"', template)
    assert versions and versions["versions"].startswith(">=1.14")
    resolution = resolve("pipecat-ai" + versions["versions"], pipecats)
    assert resolution.returncode != 0
    assert "docopt" in resolution.stderr


def test_generated_minimum_version_makes_lock_name_missing_wheel(pipecats: Path) -> None:
    agent = project(pipecats, "pipecat-ai>=1.14,<1.15")
    lockfile.ensure_lock(agent, ENV)
    text = (agent / "uv.lock").read_text()
    text = re.sub(r'registry = "[^"]+"', 'registry = "https://pypi.org/simple"', text)
    text = re.sub(r'path = "([^"]+)"', r'url = "\1", hash = "sha256:0"', text)
    (agent / "uv.lock").write_text(text)
    with pytest.raises(lockfile.NoWheel, match=r"docopt 0\.6\.2 .*required by pipecat-ai"):
        lockfile.require_wheels(agent, lockfile.read_lock(agent))
