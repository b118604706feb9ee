"""`voicecore eject client`: the source of the page, for an owner who wants to change it."""

import sys
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode
from voicecore.scaffold.render import ejected


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    voicecore("init", "mine", "--yes")
    return tmp_path / "mine"


def written(project: Path) -> dict[str, bytes]:
    client = project / "client"
    files = (path for path in client.rglob("*") if path.is_file())
    return {path.relative_to(client).as_posix(): path.read_bytes() for path in files}


def test_init_writes_the_built_page_without_its_source(project: Path) -> None:
    assert (project / "server/internal/page/index.html").exists()
    assert not (project / "client").exists()


def test_eject_writes_the_source(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("eject", "client", "--project", str(project))
    assert result.code == ExitCode.OK
    assert "npm ci && npm run build" in result.stderr
    assert written(project) == ejected("client")
    assert {"package.json", "package-lock.json", "vite.config.ts"} <= written(project).keys()


def test_dry_run_lists_files_and_writes_nothing(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("eject", "client", "--dry-run", "--project", str(project))
    assert result.code == ExitCode.OK
    assert "client/package.json" in result.stderr
    assert not (project / "client").exists()


def test_json_reports_the_files(voicecore: Voicecore, project: Path) -> None:
    dry = voicecore("eject", "client", "--dry-run", "--json", "--project", str(project)).json
    report = voicecore("eject", "client", "--json", "--project", str(project)).json
    assert (dry["written"], report["written"]) == (False, True)
    assert report["files"] == dry["files"] == [f"client/{name}" for name in ejected("client")]
    assert report["folder"] == str(project / "client")


def test_eject_never_overwrites(voicecore: Voicecore, project: Path) -> None:
    (project / "client").mkdir()
    (project / "client/notes.txt").write_text("mine")
    result = voicecore("eject", "client", "--yes", "--project", str(project))
    assert result.code == ExitCode.FAILED
    assert "client exists; nothing was written" in result.stderr
    assert written(project) == {"notes.txt": b"mine"}


def test_project_without_a_page_is_refused(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "phone", "--yes", "--transport", "telephony")
    result = voicecore("eject", "client", "--project", str(tmp_path / "phone"))
    assert result.code == ExitCode.BAD_PROJECT
    assert "voicecore add websocket" in result.stderr


def test_unknown_part_is_refused(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("eject", "server", "--project", str(project))
    assert result.code == ExitCode.USAGE
    assert "voicecore eject client" in result.stderr


@pytest.mark.parametrize(("key", "is_written"), [("y", True), ("n", False)])
def test_terminal_asks_first(project: Path, key: str, is_written: bool) -> None:
    terminal = pexpect.spawn(
        sys.executable, ["-m", "voicecore", "eject", "client"], cwd=project, encoding="utf-8"
    )
    terminal.expect("Write .* files to client/")
    terminal.send(key)
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert (project / "client").exists() is is_written
    assert terminal.exitstatus == (ExitCode.OK if is_written else ExitCode.FAILED)
