"""A stranger's Dockerfile and links: nothing outside the build's own folder is read or removed."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.image.workspace import STAGE, Workspace
from voicecore.image.blob_store import blob_path
from voicecore.image.builders.copy_layers import OnlyDocker
from voicecore.image.builders.packages import LinkLeavesFolder
from voicecore.image.builders.transfer import StoredImage
from voicecore.image.inputs import dockerfile

TEMPLATE = "ARG BASE=x\nFROM $BASE AS build\nRUN make\nFROM $BASE\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder of the user that no build may touch."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    (folder / "module.py").write_text("PASSWORD = 'mine'\n")
    return folder


def stolen(stored: StoredImage) -> list[str]:
    """Return the files of the image that contain text of the victim."""
    found: list[str] = []
    for layer in stored.image.layers[2:]:
        with tarfile.open(blob_path(stored.store, layer.digest)) as tar:
            for entry in tar:
                content = tar.extractfile(entry) if entry.isfile() else None
                if content and b"mine" in content.read():
                    found.append(entry.name)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "/image/app/{up}{victim}",
        "/image/app/internal/../{up}{victim}",
        "/image/{up}{victim}",
        "/image/app/../..{victim}",
        "/image/opt/../app/{up}{victim}",
        "{victim}",
    ],
)
def test_copy_from_outside_build_is_refused(
    workspace: Workspace, victim: Path, source: str
) -> None:
    path = source.format(up="../" * 40, victim=str(victim))
    stage = replace(STAGE, copies=(("/image/app", "/app"), (path, "/stolen")))
    with pytest.raises(OnlyDocker):
        workspace.build(stage=stage)
    line = f"COPY --from=build {path} /stolen\n"
    parsed = dockerfile.final_stage(TEMPLATE + line, TEMPLATE)
    with pytest.raises(OnlyDocker):
        workspace.build(stage=replace(STAGE, copies=parsed.copies))
    assert sorted(path.name for path in victim.iterdir()) == ["diary.txt", "module.py"]


def test_copy_paths_are_resolved_as_docker_does() -> None:
    lines = "COPY --from=build /image/app/../opt/./packages/ /opt/x/../../../y\n"
    (copy,) = dockerfile.final_stage(TEMPLATE + lines, TEMPLATE).copies
    assert copy == ("/image/opt/packages", "/y")


@pytest.mark.parametrize(
    "line",
    [
        "COPY --from=build /image/app app",
        "COPY --from=build /image/app $HOME",
        "WORKDIR app",
        "USER $NAME",
        "EXPOSE $PORT",
    ],
)
def test_path_that_depends_on_earlier_lines_needs_docker(line: str) -> None:
    with pytest.raises(dockerfile.BadDockerfile, match="line 5:"):
        dockerfile.final_stage(f"{TEMPLATE}{line}\n", TEMPLATE)


@pytest.mark.parametrize("kind", ["absolute", "relative", "through a folder", "module"])
def test_link_that_leaves_agent_is_refused(workspace: Workspace, victim: Path, kind: str) -> None:
    agent = workspace.inputs.agent
    link = agent / ("stolen.py" if kind == "module" else "stolen")
    match kind:
        case "absolute":
            link.symlink_to(victim)
        case "relative":
            link.symlink_to(Path("../victim"))
        case "module":
            link.symlink_to(victim / "module.py")
        case _:
            (agent / "a/b").mkdir(parents=True)
            (agent / "a/b/top").symlink_to("../..")
            link.symlink_to("a/b/top/../victim")
    files = [
        *workspace.inputs.files,
        link.name,
        *(["a/b/top"] if kind.startswith("through") else []),
    ]
    for source in ("/image/app/stolen", "/image/app"):
        stage = replace(STAGE, copies=((source, "/x"),))
        with pytest.raises(LinkLeavesFolder, match=link.name):
            workspace.build(stage=stage, files=files)
    assert (victim / "diary.txt").read_text() == "mine"


def test_link_within_agent_stays_a_link(workspace: Workspace) -> None:
    (workspace.inputs.agent / "robot.py").symlink_to("bot.py")
    (workspace.inputs.agent / "inside").symlink_to("internal")
    stored = workspace.build(files=[*workspace.inputs.files, "robot.py", "inside"])
    with tarfile.open(blob_path(workspace.store, stored.image.layers[-1].digest)) as tar:
        links = {entry.name: entry.linkname for entry in tar if entry.issym()}
    assert links == {"app/robot.py": "bot.py", "app/inside": "internal"}


def test_link_that_prune_makes_is_not_followed(workspace: Workspace, victim: Path) -> None:
    script = workspace.inputs.agent / "internal/prune.py"
    script.write_text(
        script.read_text()
        + f"if part == 'code':\n    (folder / 'stolen').symlink_to({str(victim)!r})\n"
    )
    for source in ("/image/app/stolen", "/image/app/stolen/"):
        with pytest.raises(OnlyDocker):
            workspace.build(stage=replace(STAGE, copies=((source, "/x"),)))
    stored = workspace.build(stage=replace(STAGE, copies=(("/image/app", "/x"),)))
    assert stolen(stored) == []
    assert (victim / "diary.txt").read_text() == "mine"


def test_nested_and_repeated_copies_have_all_files(workspace: Workspace) -> None:
    copies = (
        ("/image/app/internal", "/a"),
        ("/image/app", "/b"),
        ("/image/app", "/c"),
        ("/image/opt", "/d"),
    )
    files = [*workspace.inputs.files, "internal/kept.py"]
    (workspace.inputs.agent / "internal/kept.py").write_text("")
    stored = workspace.build(stage=replace(STAGE, copies=copies), files=files)
    names: list[set[str]] = []
    for layer in stored.image.layers[2:5]:
        with tarfile.open(blob_path(workspace.store, layer.digest)) as tar:
            names.append({entry.name.partition("/")[2] for entry in tar if entry.isfile()})
    assert "kept.py" in names[0]
    assert "internal/kept.py" in names[1]
    assert names[1] == names[2]
