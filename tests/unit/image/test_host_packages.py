"""Packages that only this machine can get: from an own index, git or a folder, by real parts."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import uv

from tests.unit.image.company import (
    LOGIN,
    TARGET,
    Company,
    folder_in_agent,
    folder_source,
    git_file,
    git_http,
    index_in_uv_toml,
    index_without_hashes,
    keyring_login,
    netrc_login,
    own_index,
    variable_login,
    wheel_file,
    workspace,
)
from tests.unit.image.sample_project import PYTHON, make_wheel
from voicecore.console.errors import VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.builders.buildspec import CodeBuildInputs, write_source
from voicecore.image.builders.host_packages import HostPackages, NotForArm, install_here
from voicecore.image.builders.packages import find_python, install
from voicecore.image.inputs import lockfile
from voicecore.image.inputs.build_context import ARCHIVE, REQUIREMENTS
from voicecore.image.registry.reference import parse_reference
from voicecore.project.identity import Owner

pytestmark = pytest.mark.slow  # most start processes


@pytest.fixture
def company(tmp_path: Path) -> Company:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    env |= {"UV_CACHE_DIR": str(tmp_path / "uv"), "UV_PYTHON_DOWNLOADS": "never"}
    return Company(tmp_path, env)


def modules(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return {entry.name for entry in tar if entry.name.endswith(".py")}


SOURCES = [
    folder_source,
    folder_in_agent,
    wheel_file,
    git_file,
    git_http,
    netrc_login,
    variable_login,
    keyring_login,
    index_in_uv_toml,
    index_without_hashes,
    workspace,
]


@pytest.mark.parametrize("source", SOURCES)
def test_package_is_installed_into_archive(
    company: Company, source: Callable[[Company], AbstractContextManager[object]]
) -> None:
    with source(company):
        files = company.files()
    assert modules(files[ARCHIVE]) == {"shared.py"}
    assert files[REQUIREMENTS].read_text() == ""
    content = files[ARCHIVE].read_bytes()
    private = [str(company.folder), LOGIN[1], "127.0.0.1"]
    assert not [text for text in private if text.encode() in content]


def test_direct_builder_installs_archive(company: Company) -> None:
    with folder_source(company):
        files = company.files()
    steps: list[Progress] = []

    async def work() -> list[str]:
        python = await find_python(PYTHON, company.env, company.folder / "python")
        folder = company.folder / "packages"
        found = await install(company.agent, folder, python, company.env, steps.append, files)
        return [package.name for package in found]

    assert asyncio.run(work()) == ["shared"]
    assert (company.folder / "packages/shared.py").exists()


def test_equal_packages_give_equal_archives_on_every_machine(
    tmp_path: Path, company: Company
) -> None:
    other = Company(tmp_path / "other", company.env)
    for each in (company, other):
        each.write_source(each.folder / "ada/libraries/shared")
        each.require('{ path = "../libraries/shared" }')
    digests = {each.files()[ARCHIVE].name for each in (company, other)}
    assert len(digests) == 1


def test_changed_folder_is_built_again(company: Company) -> None:
    with folder_source(company):
        before = company.files()[ARCHIVE]
        (company.folder / "ada/libraries/shared/shared.py").write_text('NAME = "new"\n')
        after = company.files()[ARCHIVE]
    assert before != after
    assert b'NAME = "new"' in after.read_bytes()


def test_other_packages_are_installed_once(company: Company) -> None:
    with index_without_hashes(company):
        before = company.files()
    assert company.files() == before  # the index is gone


def test_evicted_archive_is_made_again(company: Company) -> None:
    with wheel_file(company):
        before = company.files()
        before[ARCHIVE].unlink()
        assert company.files() == before
        assert before[ARCHIVE].stat().st_size > 0


def test_package_that_compiles_is_named_and_not_sent_to_another_builder(company: Company) -> None:
    company.write_source(company.agent / "shared_c", tag="cp311-cp311-linux_x86_64")
    company.require('{ path = "shared_c" }')
    with pytest.raises(NotForArm, match=r"shared-1\.0-cp311-cp311-linux_x86_64\.whl") as refused:
        company.files()
    assert "--builder" not in (refused.value.hint or "")
    assert "uv build --wheel" in (refused.value.hint or "")


def test_wheel_for_another_machine_is_named(company: Company) -> None:
    tag = f"cp{PYTHON.replace('.', '')}-cp{PYTHON.replace('.', '')}-manylinux_2_17_x86_64"
    company.require(f'{{ path = "{make_wheel(company.folder, "shared", tag)}" }}')
    with pytest.raises(NotForArm, match="shared has no wheel for linux/arm64") as refused:
        company.files()
    assert "uv lock --project agent" in (refused.value.hint or "")


def test_missing_login_is_explained(company: Company) -> None:
    with netrc_login(company):
        lockfile.ensure_lock(company.agent, company.env)
        (company.folder / "home/.netrc").unlink()
        with pytest.raises(lockfile.LoginRefused) as refused:
            company.files()
    assert "A package index refused your login" in refused.value.message
    for way in ("UV_INDEX_NAME_PASSWORD", "~/.netrc", "UV_KEYRING_PROVIDER"):
        assert way in (refused.value.hint or "")


def test_missing_login_is_explained_before_the_lockfile_is_made(company: Company) -> None:
    with own_index(company), pytest.raises(lockfile.LoginRefused):
        company.files()


def test_failed_build_says_how_to_repeat_it(company: Company) -> None:
    with folder_source(company):
        (company.folder / "ada/libraries/shared/backend.py").write_text("raise SystemExit('no')")
        with pytest.raises(VoicecoreError, match="shared") as refused:
            company.files()
    assert "uv sync --project agent" in (refused.value.hint or "")


def test_changed_file_on_index_is_refused(company: Company) -> None:
    with own_index(company, login=False):
        lockfile.ensure_lock(company.agent, company.env)
        wheel = make_wheel(company.folder / "wheels", "shared")
        wheel.write_bytes(wheel.read_bytes() + b"\0")
        subprocess.run([uv.find_uv_bin(), "cache", "clean"], env=company.env, check=True)
        with pytest.raises(VoicecoreError, match="Hash mismatch"):
            company.files()


def test_project_with_packages_of_pypi_needs_nothing_of_this_machine(company: Company) -> None:
    lock = {
        "package": [
            {"name": "an-agent", "source": {"virtual": "."}, "dependencies": [{"name": "six"}]},
            {
                "name": "six",
                "source": {"registry": "https://pypi.org/simple"},
                "wheels": [{"url": "https://x/six-1.0-py3-none-any.whl", "hash": "sha256:0"}],
            },
        ]
    }
    wanted = HostPackages(company.agent, lock, "key", TARGET)
    assert install_here(wanted, False, company.env, company.folder) == []


def test_missing_wheel_in_workspace_names_the_root(company: Company) -> None:
    path = company.agent.parent / "uv.lock"
    company.agent.mkdir(parents=True)
    path.write_text(
        'version = 1\n[[package]]\nname = "an-agent"\nsource = { virtual = "agent" }\n'
        'dependencies = [{ name = "six" }]\n[[package]]\nname = "six"\nversion = "1"\n'
        'source = { registry = "https://pypi.org/simple" }\n'
    )
    lock = lockfile.read_lock(company.agent, path)
    with pytest.raises(lockfile.NoWheel) as refused:
        lockfile.require_wheels(company.agent, lock, TARGET, path)
    assert "Add it to the list in pyproject.toml:" in (refused.value.hint or "")
    assert "uv ignores the list in agent/pyproject.toml" in (refused.value.hint or "")


def test_codebuild_gets_archive_and_linked_files(company: Company) -> None:
    (company.agent / "internal").mkdir(parents=True)
    for name in (".dockerignore", "bot.py"):
        (company.agent / name).write_text("")
    archive = company.folder / "archive"
    archive.write_text("the packages")
    inputs = CodeBuildInputs(
        owner=Owner("ada"),
        agent=company.agent,
        files=["bot.py", ".dockerignore", ARCHIVE],
        target=parse_reference("123456789012.dkr.ecr.eu-west-1.amazonaws.com/ada:tag"),
        base="python",
        epoch=0,
        packages_key="key",
        sources={ARCHIVE: archive},
    )
    packed = io.BytesIO()
    write_source(inputs, packed)
    with zipfile.ZipFile(packed) as source:
        # Patterns such as *.tar would exclude the archive.
        assert source.namelist() == ["bot.py", ARCHIVE]
        assert source.read(ARCHIVE) == b"the packages"
