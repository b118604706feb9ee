"""Packages are installed for arm64 from the lockfile, code is copied, and both are made small."""

from __future__ import annotations

import asyncio
import os
import platform
import stat
import sys
import time
from pathlib import Path

import pytest

from tests.unit.image.a_project import PYTHON, a_wheel, an_agent, env
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.builders.layers import DiskFull
from voicecore.image.builders.packages import (
    FileGone,
    InstallRefused,
    PythonMissing,
    SlimFailed,
    copy_code,
    find_python,
    install,
    refused,
)
from voicecore.image.model import Package, Progress


def installed(agent: Path, folder: Path) -> tuple[Package, ...]:
    async def work() -> tuple[Package, ...]:
        python = await find_python(PYTHON, env(), folder.with_name("python"))
        return await install(agent, folder, python, env(), told.append)

    told: list[Progress] = []
    packages = asyncio.run(work())
    assert told[-1] == Progress("install packages", finished=True, note=f"{len(packages)} packages")
    return packages


def wait_for(file: Path) -> None:
    while not (file.exists() and file.read_text()):
        time.sleep(0.01)


def copied(agent: Path, files: list[str], folder: Path) -> None:
    async def work() -> None:
        await copy_code(
            agent,
            files,
            folder,
            await find_python(PYTHON, env(), folder.with_name("python")),
            env(),
        )

    asyncio.run(work())


def test_packages_are_installed_and_slimmed(tmp_path: Path) -> None:
    agent = an_agent(tmp_path, a_wheel(tmp_path, "one"), a_wheel(tmp_path, "two"))
    folder = tmp_path / "work" / "packages"
    packages = installed(agent, folder)
    assert {package.name for package in packages} == {"one", "two"}
    assert all(package.bytes > 0 for package in packages)
    assert not (folder / "one.pyi").exists()
    assert list(folder.glob("__pycache__/one.*.pyc"))


def test_a_wheel_for_arm64_is_installed_on_any_machine(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, "one", f"cp{PYTHON.replace('.', '')}-abi3-manylinux_2_17_aarch64")
    assert installed(an_agent(tmp_path, wheel), tmp_path / "packages")[0].name == "one"


def test_a_package_without_a_wheel_for_arm64(tmp_path: Path) -> None:
    agent = an_agent(tmp_path, a_wheel(tmp_path, "one", "py3-none-macosx_11_0_arm64"))
    with pytest.raises(VoicecoreError) as caught:
        installed(agent, tmp_path / "packages")
    assert "one" in caught.value.message


def test_the_cache_of_uv_keeps_its_times_and_rights(tmp_path: Path) -> None:
    agent = an_agent(tmp_path, a_wheel(tmp_path, "one"))
    first, second = tmp_path / "first", tmp_path / "second"
    installed(agent, first)
    (first / "one.py").write_text("changed")
    installed(agent, second)
    assert "The module one" in (second / "one.py").read_text()


def test_python_of_our_own_version_is_ours(tmp_path: Path) -> None:
    found = asyncio.run(find_python(PYTHON, env(), tmp_path / "python"))
    assert found == Path(sys.executable)


def test_what_uv_finds_is_remembered(tmp_path: Path) -> None:
    kept = tmp_path / "store" / "python"
    found = asyncio.run(find_python(platform.python_version(), env(), kept))
    assert kept.read_text() == str(found)
    remembered = tmp_path / "python3.99"
    remembered.touch()
    kept.write_text(str(remembered))
    # uv knows of none: it was not asked.
    assert asyncio.run(find_python("3.99", env(), kept)) == remembered


def test_a_python_that_is_gone_is_looked_for_again(tmp_path: Path) -> None:
    kept = tmp_path / "python"
    for remembered in (tmp_path / "python3.99", Path(sys.executable)):
        kept.write_text(str(remembered))
        with pytest.raises(PythonMissing) as caught:
            asyncio.run(find_python("3.99", env(), kept))
        assert caught.value.exit_code == ExitCode.MISSING_TOOL
        assert "uv python install 3.99" in (caught.value.hint or "")


def test_code_is_copied_with_its_rights_and_without_what_only_a_build_reads(
    tmp_path: Path,
) -> None:
    agent = an_agent(tmp_path)
    (agent / "data").mkdir()
    (agent / "data" / "words.txt").write_text("one two")
    (agent / "latest").symlink_to("data/words.txt")
    files = ["bot.py", "data/words.txt", "latest", "run.sh", "internal/prune.py", "uv.lock"]
    folder = tmp_path / "work" / "app"
    copied(agent, files, folder)
    assert (folder / "data" / "words.txt").read_text() == "one two"
    assert (folder / "latest").readlink() == Path("data/words.txt")
    assert stat.S_IMODE((folder / "run.sh").stat().st_mode) == 0o755
    assert not (folder / "internal/prune.py").exists()
    assert not (folder / "uv.lock").exists()


def test_a_file_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(FileGone, match=r"gone\.py"):
        copied(an_agent(tmp_path), ["gone.py"], tmp_path / "app")


def test_an_agent_without_slim(tmp_path: Path) -> None:
    agent = an_agent(tmp_path)
    (agent / "internal/prune.py").unlink()
    with pytest.raises(SlimFailed, match=r"no internal/prune\.py") as caught:
        copied(agent, ["bot.py"], tmp_path / "app")
    assert "voicecore init" in (caught.value.hint or "")


def test_a_slim_that_fails_is_told_in_its_words(tmp_path: Path) -> None:
    agent = an_agent(tmp_path)
    (agent / "internal/prune.py").write_text("raise SystemExit('I will not')")
    with pytest.raises(SlimFailed, match="I will not"):
        copied(agent, ["bot.py"], tmp_path / "app")


def test_a_cancelled_program_is_ended(tmp_path: Path) -> None:
    agent = an_agent(tmp_path)
    mark = tmp_path / "pid"
    (agent / "internal/prune.py").write_text(
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )

    async def work() -> None:
        python = await find_python(PYTHON, env(), tmp_path / "python")
        task = asyncio.create_task(copy_code(agent, [], tmp_path / "app", python, env()))
        await asyncio.to_thread(wait_for, mark)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    asyncio.run(work())
    assert time.monotonic() - started < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


# uv 0.13's words, as it said them.
NO_WHEEL = (
    "error: No solution found when resolving dependencies\n"
    "  cause: Because {} and you require it, we can conclude that your requirements are "
    "unsatisfiable."
)


@pytest.mark.parametrize(
    "because",
    [
        "docopt==0.6.2 has no usable wheels",
        "docopt==0.6.2 has no wheels with a matching platform tag (e.g., `manylinux_2_28_aarch64`)",
    ],
)
def test_uv_finds_no_wheel(tmp_path: Path, because: str) -> None:
    error = refused(NO_WHEEL.format(because), tmp_path)
    assert "no wheel for arm64: docopt==0.6.2" in error.message
    assert "--builder codebuild" in (error.hint or "")


def test_uv_reaches_no_index(tmp_path: Path) -> None:
    said = "error: Failed to fetch: https://pypi.org/simple/six/\n  cause: dns error"
    assert "index cannot be reached" in refused(said, tmp_path).message


def test_uv_finds_the_disk_full(tmp_path: Path) -> None:
    said = "error: Failed to install: numpy\n  cause: No space left on device (os error 28)"
    error = refused(said, tmp_path)
    assert isinstance(error, DiskFull)
    assert str(tmp_path) in error.message


def test_what_else_uv_says_is_told(tmp_path: Path) -> None:
    error = refused("error: Failed to download `six`\n  cause: Hash mismatch for `six`", tmp_path)
    assert isinstance(error, InstallRefused)
    assert "Hash mismatch" in error.message
