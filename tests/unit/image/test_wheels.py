"""The lockfile: made where there is none, held current, and asked what cannot be installed."""

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
from voicecore.image.inputs import lockfile
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
    files = ", ".join(
        f'{{ url = "https://files.example/{name.replace("-", "_")}-{version}-{tags}.whl" }}'
        for tags in wheel_tags
    )
    return (
        f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
        f'source = {{ registry = "https://pypi.org/simple" }}\nwheels = [{files}]\n{more}\n'
    )


def missing(lock: str) -> dict[str, tuple[str, ...]]:
    return {found.name: found.needed_by for found in lockfile.without_wheel(tomllib.loads(lock))}


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
def test_a_wheel_that_the_image_can_install(tags: str) -> None:
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
def test_a_package_that_must_be_compiled_is_named_with_the_reason(
    tags: list[str], why: str, tmp_path: Path
) -> None:
    lock = AGENT + 'dependencies = [{ name = "one" }]' + package("one", *tags)
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "uv.lock").write_text(lock)
    with pytest.raises(lockfile.NoWheel) as refusal:
        lockfile.require_wheels(agent)
    assert "one 1.0" in refusal.value.message
    assert why in refusal.value.message
    assert "needed by agent" in refusal.value.message
    assert "emulated" in refusal.value.message
    hint = refusal.value.hint or ""
    assert "voicecore build --builder codebuild --push" in hint
    assert 'exclude-dependencies = ["one"]' in hint
    assert "uv lock --project agent" in hint


def test_the_packages_that_need_one_are_named() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "top" }, { name = "other" }]'
        + package("top", "py3-none-any", more='dependencies = [{ name = "deep" }]')
        + package("other", "py3-none-any", more='dependencies = [{ name = "deep" }]')
        + package("deep")
    )
    assert missing(lock) == {"deep": ("other", "top")}


def test_what_only_another_platform_or_a_developer_needs_is_no_matter() -> None:
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


def test_extras_are_followed_and_only_those_asked_for() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "pipe", extra = ["sound"] }]'
        + package(
            "pipe",
            "py3-none-any",
            more="[package.optional-dependencies]\n"
            'sound = [{ name = "codec" }, { name = "pipe", extra = ["both"] }]\n'
            'both = [{ name = "mixer" }]\nfilm = [{ name = "video" }]',
        )
        + package("codec")
        + package("mixer")
        + package("video")
    )
    assert missing(lock) == {"codec": ("pipe",), "mixer": ("pipe",)}


def test_of_two_locked_versions_the_one_for_the_image_counts() -> None:
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
    assert [found.version for found in lockfile.needed(tomllib.loads(lock))] == ["2.0"]


def test_a_package_from_git_is_source_even_if_a_registry_has_wheels(tmp_path: Path) -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "forked" }, { name = "local" }]\n'
        + '[[package]]\nname = "forked"\nversion = "1"\n'
        + 'source = { git = "https://example.com/forked?rev=main#0123" }\n'
        + '[[package]]\nname = "local"\nversion = "1"\n'
        + 'source = { path = "local-1-py3-none-any.whl" }\n'
        + 'wheels = [{ filename = "local-1-py3-none-any.whl" }]\n'
    )
    assert missing(lock) == {"forked": ("agent",)}
    (tmp_path / "uv.lock").write_text(lock)
    with pytest.raises(lockfile.NoWheel, match="comes as source, from git"):
        lockfile.require_wheels(tmp_path)


def test_a_plus_in_a_version_is_written_otherwise_in_an_address() -> None:
    lock = AGENT + 'dependencies = [{ name = "torch" }]' + package("torch", version="2.0%2Bcpu")
    wheel = "torch-2.0%2Bcpu-cp313-cp313-manylinux_2_28_aarch64.whl"
    lock = lock.replace("wheels = []", f'wheels = [{{ url = "https://files.example/{wheel}" }}]')
    assert missing(lock) == {}


def test_the_best_of_several_wheels_is_the_one_made_for_this_python() -> None:
    names = [
        "one-1.0-py3-none-any.whl",
        "one-1.0-cp39-abi3-manylinux_2_17_aarch64.whl",
        "one-1.0-cp313-cp313-manylinux_2_17_aarch64.whl",
        "one-1.0-cp313-cp313-manylinux_2_28_aarch64.whl",
        "one-1.0-cp313-cp313-manylinux_2_34_aarch64.whl",
    ]
    assert lockfile.best(names) == names[3]
    assert lockfile.best(names[:2]) == names[1]
    assert lockfile.best(["no-wheel.whl"]) is None


def test_circles_of_packages_end() -> None:
    lock = (
        AGENT
        + 'dependencies = [{ name = "a" }]'
        + package("a", "py3-none-any", more='dependencies = [{ name = "b" }]')
        + package("b", more='dependencies = [{ name = "a" }]')
    )
    assert missing(lock) == {"b": ("a",)}


def test_the_image_the_lock_is_asked_for_is_the_one_the_dockerfile_installs_for() -> None:
    dockerfile = dockerfile_of("agent")
    platform = re.search(r"--python-platform[ =](\w+)-manylinux_(\d+)_(\d+)", dockerfile)
    assert platform, "the Dockerfile installs for a manylinux platform"
    machine, major, minor = platform.groups()
    assert (machine, (int(major), int(minor))) == (lockfile.IMAGE.machine, lockfile.IMAGE.glibc)
    python = re.search(r"ARG BASE=.*python:(\d+)\.(\d+)", dockerfile)
    assert python, "the Dockerfile's base says its Python"
    assert (int(python[1]), int(python[2])) == lockfile.IMAGE.python


# With real uv, on packages that are made here: no network, no index.


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
    asked = ", ".join(f'"{requirement}"' for requirement in requirements)
    (agent / "pyproject.toml").write_text(
        '[project]\nname = "my-agent"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        f"dependencies = [{asked}]\n[tool.uv]\npackage = false\nno-index = true\n"
        f'find-links = ["{folder}"]\n'
    )
    return agent


def test_a_lock_is_made_once_and_then_only_checked(tmp_path: Path) -> None:
    wheel(tmp_path, "one", "1.0")
    agent = project(tmp_path, "one")
    env = ENV | {"VIRTUAL_ENV": "/nowhere"}
    assert lockfile.ensure_lock(agent, env) is True
    made = (agent / "uv.lock").read_bytes()
    assert lockfile.ensure_lock(agent, env) is False
    assert (agent / "uv.lock").read_bytes() == made
    lockfile.require_wheels(agent)


def test_a_lock_that_lags_behind_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    wheel(tmp_path, "one", "1.0")
    wheel(tmp_path, "two", "1.0")
    agent = project(tmp_path, "one")
    lockfile.ensure_lock(agent, ENV)
    made = (agent / "uv.lock").read_bytes()
    project(tmp_path, "one", "two")
    with pytest.raises(lockfile.LockOutdated) as refusal:
        lockfile.ensure_lock(agent, ENV)
    assert "uv lock --project agent" in (refusal.value.hint or "")
    assert refusal.value.exit_code is ExitCode.BAD_PROJECT
    assert (agent / "uv.lock").read_bytes() == made


def test_a_lock_that_is_no_toml_is_an_error(tmp_path: Path) -> None:
    agent = project(tmp_path)
    (agent / "uv.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(lockfile.BadLock, match=r"agent/uv\.lock cannot be read"):
        lockfile.ensure_lock(agent, ENV)
    with pytest.raises(lockfile.BadLock):
        lockfile.read_lock(agent)


def test_what_cannot_be_resolved_is_told_in_uvs_own_words(tmp_path: Path) -> None:
    agent = project(tmp_path, "nobody-has-this")
    with pytest.raises(lockfile.LockFailed, match="nobody-has-this") as failure:
        lockfile.ensure_lock(agent, ENV)
    assert "uv lock --project agent" in (failure.value.hint or "")
    assert not (agent / "uv.lock").exists()


@pytest.fixture
def pipecats(tmp_path: Path) -> Path:
    """Pipecat as its releases are: only the new one needs a package that has no wheel."""
    wheel(tmp_path, "pipecat-ai", "1.4.0")
    wheel(tmp_path, "pipecat-ai", "1.14.0", requires=("docopt",))
    sdist(tmp_path, "docopt", "0.6.2")
    return tmp_path


def resolve(requirement: str, links: Path) -> subprocess.CompletedProcess[str]:
    """Resolve as an installation of wheels alone does."""
    return subprocess.run(
        [uv.find_uv_bin(), "pip", "compile", "-", "--no-index", "--find-links", str(links),
         "--only-binary", ":all:", "--python-platform", "aarch64-manylinux_2_28"],
        input=requirement, capture_output=True, text=True, cwd=links,
    )  # fmt: skip


def test_without_a_floor_a_missing_wheel_brings_an_old_pipecat(pipecats: Path) -> None:
    assert "pipecat-ai==1.4.0" in resolve("pipecat-ai", pipecats).stdout


def test_with_the_generated_floor_a_missing_wheel_is_an_error(pipecats: Path) -> None:
    template = (TEMPLATES / "_shared" / "agent" / "pyproject.toml.jinja").read_text()
    asked = re.search(r'"pipecat-ai\[.*\](?P<versions>[^"\]]*)"', template)
    assert asked and asked["versions"].startswith(">=1.14")
    resolution = resolve("pipecat-ai" + asked["versions"], pipecats)
    assert resolution.returncode != 0
    assert "docopt" in resolution.stderr


def test_with_the_generated_floor_the_lock_names_the_missing_wheel(pipecats: Path) -> None:
    agent = project(pipecats, "pipecat-ai>=1.14,<1.15")
    lockfile.ensure_lock(agent, ENV)
    with pytest.raises(lockfile.NoWheel, match=r"docopt 0\.6\.2 .*needed by pipecat-ai"):
        lockfile.require_wheels(agent)
