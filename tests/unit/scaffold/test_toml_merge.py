"""TOML is merged by structure: keys, lists as sets, and extras of requirements as sets."""

import pytest

from voicecore.scaffold.toml_merge import merge_toml

BEFORE = """\
[project]
name = "mine"
dependencies = [
    "boto3>=1.43",
    "pipecat-ai[silero,websocket]>=1.14,<1.15",
]
"""


def changed(*edits: tuple[str, str], text: str = BEFORE) -> str:
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


def test_extras_of_both_sides_are_kept_and_removed_ones_leave() -> None:
    mine = changed(("silero,websocket]", "silero,websocket,openai]"))
    theirs = changed(("silero,websocket]", "webrtc,websocket]"))
    merged = merge_toml(BEFORE, mine, theirs)
    assert merged == changed(("silero,websocket]", "openai,webrtc,websocket]"))


def test_version_of_the_side_that_changed_it_wins() -> None:
    pinned = changed((">=1.14,<1.15", "==1.14.2"))
    newer = changed((">=1.14,<1.15", ">=1.15,<1.16"))
    extra = changed(("websocket]", "websocket,x]"))
    assert merge_toml(BEFORE, pinned, extra) == changed(
        ("websocket]>=1.14,<1.15", "websocket,x]==1.14.2")
    )
    assert merge_toml(BEFORE, extra, newer) == changed(
        ("websocket]>=1.14,<1.15", "websocket,x]>=1.15,<1.16")
    )
    assert merge_toml(BEFORE, pinned, newer) is None


def test_items_are_added_with_their_comments_and_yours_stay() -> None:
    mine = changed(('"boto3>=1.43",', '"boto3>=1.43",  # mine\n    "httpx",'))
    theirs = changed(('<1.15",\n', '<1.15",\n    # why\n    "aiortc",  # beside\n'))
    merged = merge_toml(BEFORE, mine, theirs)
    assert merged == changed(
        ('"boto3>=1.43",', '"boto3>=1.43",  # mine\n    "httpx",'),
        ('<1.15",\n', '<1.15",\n    # why\n    "aiortc", # beside\n'),
    )


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ("a = 1  # mine\nb = 2\n", "a = 2\nb = 2\n", "a = 2  # mine\nb = 2\n"),
        ("a = 1\nb = 3\n", "b = 2\n", "b = 3\n"),
        ("a = 5\nb = 2\n", "b = 2\n", None),  # removed there, changed here
        ("a = 3\nb = 2\n", "a = 4\nb = 2\n", None),
        ("a = 3\nb = 2\n", "a = 3\nb = 2\n", "a = 3\nb = 2\n"),
        ("b = 2\n", "a = 2\nb = 2\n", None),  # removed here, changed there
        ("no toml", "a = 1\n", None),
    ],
)
def test_values(mine: str, theirs: str, expected: str | None) -> None:
    assert merge_toml("a = 1\nb = 2\n", mine, theirs) == expected


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ('["x", "mine"]', '["x", "y"]', '["x", "mine", "y"]'),
        ('["x", "z", "mine"]', '["z"]', '["z", "mine"]'),
        ('["z"]', '["x", "y", "z"]', '["z", "y"]'),
    ],
)
def test_lists_are_sets(mine: str, theirs: str, expected: str) -> None:
    assert (
        merge_toml(
            'a = ["x", "z"]\n' if "z" in mine else 'a = ["x"]\n', f"a = {mine}\n", f"a = {theirs}\n"
        )
        == f"a = {expected}\n"
    )


def test_tables_of_both_sides_are_kept() -> None:
    before = 'name = "mine"\n'
    mine = before + '\n[stages.prod]\nregion = "eu-west-1"\n'
    theirs = before + "\n[turn]\npeak_calls = 10   # calls\n"
    assert merge_toml(before, mine, theirs) == mine + "\n[turn]\npeak_calls = 10   # calls\n"
    own = before + "\n[turn]\npeak_calls = 20\n"
    assert merge_toml(before, own, theirs) is None
