"""Hostile wheels and [tool.uv] tables: nothing outside the build's folder, only files inside.

uv refuses most of it; these tests fail if uv, or how it is called, no longer does.
"""

from __future__ import annotations

import asyncio
import re
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest
import uv

from tests.unit.image.sample_project import PYTHON, make_agent, make_wheel, uv_env
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.blob_store import blob_path
from voicecore.image.builders.packages import find_python, install
from voicecore.image.builders.packing import pack
from voicecore.image.inputs.lockfile import PackagedProject, ensure_lock, read_lock, require_virtual

pytestmark = pytest.mark.slow  # most start processes


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    return folder


def make_hostile(folder: Path, entries: dict[str, tuple[int, str]]) -> Path:
    """Write a wheel with more entries: name to (mode, content)."""
    wheel = make_wheel(folder, "evil")
    with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, (mode, content) in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return wheel


def install_wheel(agent: Path, work: Path) -> None:
    async def run() -> None:
        python = await find_python(PYTHON, uv_env(), work.with_name("python"))
        await install(agent, work, python, uv_env(), lambda step: None)

    asyncio.run(run())


def packed_entries(work: Path, store: Path) -> list[tarfile.TarInfo]:
    layer = pack(work, "/opt/packages", "packages", store, lambda step: None)
    with tarfile.open(blob_path(store, layer.digest)) as tar:
        return list(tar)


def state_of(*folders: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mode, path.read_bytes())
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
HOSTILE: dict[str, dict[str, tuple[int, str]]] = {
    "parent": {"../../../victim/diary.txt": (FILE, "stolen"), "../up.py": (FILE, "")},
    "absolute": {"{victim}/diary.txt": (FILE, "stolen")},
    "data folder": {"evil-1.0.data/data/../../../victim/diary.txt": (FILE, "stolen")},
    "scripts": {"evil-1.0.data/scripts/../../../victim/diary.txt": (FILE, "stolen")},
    "link": {"linked": (LINK, "{victim}"), "linked.py": (LINK, "{victim}/diary.txt")},
    "link that prune.py would follow": {"PIL": (LINK, "{victim}"), "bin": (LINK, "{victim}")},
    "setuid": {"tool": (stat.S_IFREG | 0o6755, "#!/bin/sh\n")},
    "device": {"disk": (stat.S_IFBLK | 0o666, ""), "tty": (stat.S_IFCHR | 0o666, "")},
    "pipe and socket": {"pipe": (stat.S_IFIFO | 0o666, ""), "sock": (stat.S_IFSOCK | 0o666, "")},
    "start-up code": {
        "evil.pth": (FILE, "import pathlib; pathlib.Path(r'{victim}/diary.txt').unlink()\n"),
        "sitecustomize.py": (FILE, "open(r'{victim}/diary.txt', 'w').close()\n"),
    },
    "entry point": {
        "evil-1.0.dist-info/entry_points.txt": (
            FILE,
            "[console_scripts]\n../../../../victim/diary.txt = evil:main\n",
        )
    },
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_hostile_wheel_stays_in_its_folder(
    tmp_path: Path, victim: Path, entries: dict[str, tuple[int, str]]
) -> None:
    filled = {
        name.format(victim=victim): (mode, content.replace("{victim}", str(victim)))
        for name, (mode, content) in entries.items()
    }
    agent = make_agent(tmp_path, make_hostile(tmp_path, filled))
    before = state_of(victim, agent)
    work = tmp_path / "work/opt/packages"
    try:
        install_wheel(agent, work)
    except VoicecoreError as error:
        assert "uv could not install" in error.message
    else:
        for entry in packed_entries(work, tmp_path / "store"):
            assert entry.isreg() or entry.isdir(), entry.name
            assert entry.mode in (0o644, 0o755)
            assert entry.name.startswith("opt") and ".." not in entry.name
    assert state_of(victim, agent) == before
    assert not (tmp_path / "up.py").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """Give a disk of 30 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(disk)]).returncode:
        pytest.skip("needs the right to mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_bomb_is_reported_as_full_disk(tmp_path: Path, small_disk: Path) -> None:
    wheel = make_wheel(tmp_path, "evil")
    with (
        zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w") as entry,
    ):
        for _ in range(100):
            entry.write(bytes(1 << 20))
    assert wheel.stat().st_size < 1 << 20
    agent = make_agent(tmp_path, wheel)
    with pytest.raises(VoicecoreError, match="is full"):
        install_wheel(agent, small_disk / "work/opt/packages")


TABLES = {
    "target": '[tool.uv.pip]\ntarget = "{victim}"\n',
    "prefix": '[tool.uv.pip]\nprefix = "{victim}"\n',
    "links": '[tool.uv.pip]\nlink-mode = "symlink"\n',
    "python": '[tool.uv.pip]\npython = "{victim}/python"\nsystem = true\n',
    "checks": "[tool.uv.pip]\nrequire-hashes = false\nno-deps = false\nonly-binary = []\n",
    "platform": '[tool.uv.pip]\npython-platform = "windows"\n',
    "output": '[tool.uv.pip]\noutput-file = "{victim}/diary.txt"\n',
    "bytecode": "[tool.uv.pip]\ncompile-bytecode = true\n",
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_uv_table_of_project_changes_nothing_outside(
    tmp_path: Path, victim: Path, table: str
) -> None:
    agent = make_agent(tmp_path, make_wheel(tmp_path, "good"))
    with (agent / "pyproject.toml").open("a") as file:
        file.write(table.replace("{victim}", str(victim)))
    before = state_of(victim, agent)
    work = tmp_path / "work/opt/packages"
    install_wheel(agent, work)
    assert state_of(victim, agent) == before
    assert {"good.py", "PACKAGES.json"} <= {path.name for path in work.iterdir()}
    assert not [path for path in work.rglob("*") if path.is_symlink()]


def test_project_that_is_a_package_is_refused_before_its_backend_runs(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, make_wheel(tmp_path, "good"))
    settings = agent / "pyproject.toml"
    settings.write_text(
        settings.read_text().replace("package = false", "package = true")
        + '[build-system]\nrequires = []\nbuild-backend = "hostile"\nbackend-path = ["."]\n'
    )
    (agent / "hostile.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    lock = [uv.find_uv_bin(), "lock", "--quiet", "--project", str(agent), "--python", PYTHON]
    subprocess.run(lock, env=uv_env(), check=True)
    assert not ensure_lock(agent, uv_env())
    with pytest.raises(PackagedProject, match=re.escape("[tool.uv] package")) as caught:
        require_virtual(agent, read_lock(agent))
    assert "package = false" in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.BAD_PROJECT
    assert not (tmp_path / "ran").exists()
