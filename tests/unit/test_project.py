from pathlib import Path

import pytest

from voicecore.errors import ExitCode
from voicecore.project import BadProject, Project, load_project

GOOD = """\
name = "support-line"
transports = ["websocket"]
pipeline = "cascade"
region = "us-east-1"
voicecore = "0.1.0"

[services]
stt = "deepgram"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "voicecore.toml").write_text(text)
    return folder


def test_a_good_project_is_read(tmp_path: Path) -> None:
    assert load_project(written(tmp_path, GOOD)) == Project(
        root=tmp_path,
        name="support-line",
        transports=("websocket",),
        pipeline="cascade",
        region="us-east-1",
        services={"stt": "deepgram", "llm": "nova-lite", "tts": "polly"},
    )


def test_its_root_is_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path.parent)
    assert load_project(Path(tmp_path.name)).root == tmp_path


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
name = "Support Line"
transports = ["websockets"]
pipline = "offline"
pipeline = "cascade"
region = "us-est-1"

[services]
stt = "deepgrm"
vad = "silero"
"""
    with pytest.raises(BadProject) as raised:
        load_project(written(tmp_path, text))
    assert raised.value.exit_code == ExitCode.BAD_PROJECT
    assert raised.value.message.splitlines() == [
        f"{tmp_path}/voicecore.toml has 6 mistakes:",
        "  line 3   pipline: is no setting; did you mean 'pipeline'?",
        "  line 1   name: 'Support Line': it must be 2 or more of a-z, 0-9 and single hyphens, "
        "starting with a letter",
        "  line 2   transports: 'websockets' is unknown; did you mean 'websocket'?",
        "  line 8   stt: 'deepgrm' is unknown; did you mean 'deepgram'?",
        "  line 9   vad: is no stage to choose in pipeline 'cascade' (it has: stt, llm, tts)",
        "  line 5   region: 'us-est-1' is no region of AgentCore Runtime; "
        "did you mean 'us-east-1'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "is no TOML: Invalid value (at end of document)"),
        ("", "has 4 mistakes"),
        (GOOD.replace('"support-line"', "7"), "name: must be a string"),
        (GOOD.replace('["websocket"]', '"websocket"'), "transports: must be a list"),
        (GOOD.replace('["websocket"]', '["websocket", "websocket"]'), "one transport twice"),
        (GOOD.replace('"cascade"', '["cascade"]'), "pipeline: ['cascade'] is unknown"),
        (GOOD.replace('"us-east-1"', '"eu-north-1"').replace("deepgram", "transcribe"),
         "'eu-north-1' lacks a model of pipeline 'cascade'"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadProject, match=None) as raised:
        load_project(written(tmp_path, text))
    assert told in raised.value.message


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadProject) as raised:
        load_project(tmp_path)
    assert "voicecore init" in (raised.value.hint or "")
