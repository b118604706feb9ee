"""Packages installed for arm64 from the lockfile, and copied code, both slimmed."""

from __future__ import annotations

import asyncio
import os
import platform
import stat
import sys
import time
from pathlib import Path

import pytest

from tests.unit.image.sample_project import PYTHON, make_agent, make_wheel, uv_env
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.blob_store import DiskFull
from voicecore.image.builders.packages import (
    FileGone,
    PackageInstallFailed,
    PruneFailed,
    PythonMissing,
    copy_code,
    find_python,
    install,
    install_error,
    prune,
)
from voicecore.image.model import Package


def install_packages(agent: Path, folder: Path) -> tuple[Package, ...]:
    async def work() -> tuple[Package, ...]:
        python = await find_python(PYTHON, uv_env(), folder.with_name("python"))
        return await install(agent, folder, python, uv_env(), steps.append)

    steps: list[Progress] = []
    packages = asyncio.run(work())
    assert steps[-1] == Progress(
        "installing packages", finished=True, note=f"{len(packages)} packages"
    )
    return packages


def wait_for(file: Path) -> None:
    while not (file.exists() and file.read_text()):
        time.sleep(0.01)


def run_copy_code(agent: Path, files: list[str], folder: Path) -> None:
    async def work() -> None:
        await copy_code(
            agent,
            files,
            folder,
            await find_python(PYTHON, uv_env(), folder.with_name("python")),
            uv_env(),
        )

    asyncio.run(work())


def test_install_slims_packages(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, make_wheel(tmp_path, "one"), make_wheel(tmp_path, "two"))
    folder = tmp_path / "work" / "packages"
    packages = install_packages(agent, folder)
    assert {package.name for package in packages} == {"one", "two"}
    assert all(package.bytes > 0 for package in packages)
    assert not (folder / "one.pyi").exists()
    assert list(folder.glob("__pycache__/one.*.pyc"))


def test_install_accepts_arm64_wheel_on_any_machine(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "one", f"cp{PYTHON.replace('.', '')}-abi3-manylinux_2_17_aarch64")
    assert install_packages(make_agent(tmp_path, wheel), tmp_path / "packages")[0].name == "one"


def test_install_reports_package_without_arm64_wheel(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, make_wheel(tmp_path, "one", "py3-none-macosx_11_0_arm64"))
    with pytest.raises(VoicecoreError) as caught:
        install_packages(agent, tmp_path / "packages")
    assert "one" in caught.value.message


def test_install_does_not_change_uvs_cache(tmp_path: Path) -> None:
    agent = make_agent(tmp_path, make_wheel(tmp_path, "one"))
    first, second = tmp_path / "first", tmp_path / "second"
    install_packages(agent, first)
    (first / "one.py").write_text("changed")
    install_packages(agent, second)
    assert "The module one" in (second / "one.py").read_text()


def test_find_python_returns_own_interpreter(tmp_path: Path) -> None:
    found = asyncio.run(find_python(PYTHON, uv_env(), tmp_path / "python"))
    assert found == Path(sys.executable)


def test_find_python_caches_result_of_uv(tmp_path: Path) -> None:
    cached = tmp_path / "store" / "python"
    found = asyncio.run(find_python(platform.python_version(), uv_env(), cached))
    assert cached.read_text() == str(found)
    remembered = tmp_path / "python3.99"
    remembered.touch()
    cached.write_text(str(remembered))
    # uv has no such version, so it was not asked.
    assert asyncio.run(find_python("3.99", uv_env(), cached)) == remembered


def test_find_python_ignores_missing_cached_interpreter(tmp_path: Path) -> None:
    cached = tmp_path / "python"
    for remembered in (tmp_path / "python3.99", Path(sys.executable)):
        cached.write_text(str(remembered))
        with pytest.raises(PythonMissing) as caught:
            asyncio.run(find_python("3.99", uv_env(), cached))
        assert caught.value.exit_code == ExitCode.MISSING_TOOL
        assert "uv python install 3.99" in (caught.value.hint or "")


def test_copy_code_keeps_modes_and_omits_build_files(
    tmp_path: Path,
) -> None:
    agent = make_agent(tmp_path)
    (agent / "data").mkdir()
    (agent / "data" / "words.txt").write_text("one two")
    (agent / "latest").symlink_to("data/words.txt")
    files = ["bot.py", "data/words.txt", "latest", "run.sh", "internal/prune.py", "uv.lock"]
    folder = tmp_path / "work" / "app"
    run_copy_code(agent, files, folder)
    assert (folder / "data" / "words.txt").read_text() == "one two"
    assert (folder / "latest").readlink() == Path("data/words.txt")
    assert stat.S_IMODE((folder / "run.sh").stat().st_mode) == 0o755
    assert not (folder / "internal/prune.py").exists()
    assert not (folder / "uv.lock").exists()


def test_copy_code_reports_deleted_file(tmp_path: Path) -> None:
    with pytest.raises(FileGone, match=r"gone\.py"):
        run_copy_code(make_agent(tmp_path), ["gone.py"], tmp_path / "app")


def test_missing_slim_suggests_update(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    (agent / "internal/prune.py").unlink()
    with pytest.raises(PruneFailed, match=r"no internal/prune\.py") as caught:
        run_copy_code(agent, ["bot.py"], tmp_path / "app")
    assert "voicecore update" in (caught.value.hint or "")


def test_failed_slim_shows_its_output(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    (agent / "internal/prune.py").write_text("raise SystemExit('cannot prune')")
    with pytest.raises(PruneFailed, match="cannot prune"):
        run_copy_code(agent, ["bot.py"], tmp_path / "app")


def test_prune_gets_no_variable_of_the_user(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    (agent / "internal/prune.py").write_text(
        "import os, sys\nopen(sys.argv[2] + '/seen', 'w').write(' '.join(os.environ))\n"
    )
    env = {"PATH": "/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "secret", "GITHUB_TOKEN": "token"}
    asyncio.run(prune(agent, "code", tmp_path, Path(sys.executable), env))
    seen = set((tmp_path / "seen").read_text().split()) - {"LC_CTYPE"}  # Python's own (PEP 538)
    assert seen == {"PATH", "PYTHONHASHSEED", "PYTHONNODEBUGRANGES"}


def test_cancelled_program_is_killed(tmp_path: Path) -> None:
    agent = make_agent(tmp_path)
    mark = tmp_path / "pid"
    (agent / "internal/prune.py").write_text(
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )

    async def work() -> None:
        python = await find_python(PYTHON, uv_env(), tmp_path / "python")
        task = asyncio.create_task(copy_code(agent, [], tmp_path / "app", python, uv_env()))
        await asyncio.to_thread(wait_for, mark)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(work(), 300))
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


# Messages of uv 0.13.
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
def test_install_error_names_package_without_wheel(tmp_path: Path, because: str) -> None:
    error = install_error(NO_WHEEL.format(because), tmp_path)
    assert "no wheel for arm64: docopt==0.6.2" in error.message
    assert "--builder codebuild" in (error.hint or "")


def test_install_error_reports_unreachable_index(tmp_path: Path) -> None:
    output = "error: Failed to fetch: https://pypi.org/simple/six/\n  cause: dns error"
    assert "Could not reach the package index" in install_error(output, tmp_path).message


def test_install_error_reports_full_disk(tmp_path: Path) -> None:
    output = "error: Failed to install: numpy\n  cause: No space left on device (os error 28)"
    error = install_error(output, tmp_path)
    assert isinstance(error, DiskFull)
    assert str(tmp_path) in error.message


def test_install_error_shows_other_messages(tmp_path: Path) -> None:
    error = install_error(
        "error: Failed to download `six`\n  cause: Hash mismatch for `six`", tmp_path
    )
    assert isinstance(error, PackageInstallFailed)
    assert "Hash mismatch" in error.message
