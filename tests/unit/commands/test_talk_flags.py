"""Files that `voicecore talk` must not write."""

from pathlib import Path

import pytest

from voicecore.commands.talk_flags import BadFlags, check
from voicecore.options.talk import TalkOptions


@pytest.mark.parametrize("written", ["a.wav", "./a.wav", "../here/a.wav", "link.wav", "{}/a.wav"])
def test_file_to_speak_is_not_overwritten(tmp_path: Path, written: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "a.wav").write_text("sound")
    (folder / "link.wav").symlink_to("a.wav")
    path = Path(written.format(folder))
    for options in (
        TalkOptions(input=(Path("a.wav"),), record=path),
        TalkOptions(input=(Path("a.wav"),), output=path),
        TalkOptions(output=Path("a.wav"), record=path),
    ):
        with pytest.raises(BadFlags, match="need different files"):
            check(options, folder)


def test_file_may_be_spoken_twice_and_others_written(tmp_path: Path) -> None:
    twice = (Path("a.wav"), tmp_path / "a.wav")
    check(TalkOptions(input=twice, output=Path("b.wav"), record=Path("c")), tmp_path)


@pytest.mark.parametrize("name", ["call.mp3", "call.OGG"])
def test_name_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    for options in (TalkOptions(record=Path(name)), TalkOptions(output=Path(name))):
        with pytest.raises(BadFlags, match="would be a WAV file") as error:
            check(options, tmp_path)
        assert "call.wav" in str(error.value.hint)
