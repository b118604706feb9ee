"""Text that people read is plain English: no archaic words, no riddles, American spelling."""

from pathlib import Path

import pytest

from tests.prose import hits_in


@pytest.mark.parametrize(
    "line",
    [
        '"""What is left."""',
        '"""Whether UDP gets out."""',
        'note = "costs are reckoned by list prices"',
        "# Who speaks to it.",
        'print("Install it anew.")',
        'error = f"{url} is no URL"',
        "def test_a_list_that_is_none(): ...",
        'message = "in a room of Daily\'s."',
        'summary = "policies for who deploys"',
        "# The behaviour stays.",
        'note = "KVS signalling channel"',
    ],
)
def test_flags_bad_prose(line: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"{line}\n")
    assert len(list(hits_in(path))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "whom = mend(reckon)  # identifiers do not count",
        '"""Return whether UDP leaves the network."""',
        '"""Run `who is no one` and quote what AWS says."""',
        'error = "There is no state file, and the key is no longer used."',
        'image = "USER nobody"',
        'kind = "signalling"',
        "def test_rejects_non_list(): ...",
        '"""When the call ends, delete the room."""',
        'summary = "the callers who get through"',
    ],
)
def test_accepts_plain_prose(line: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"{line}\n")
    assert list(hits_in(path)) == []
