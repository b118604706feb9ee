"""A merge by lines takes the edits of both sides; where they touch and differ, it has both."""

from hypothesis import given
from hypothesis import strategies as st

from voicecore.scaffold.text_merge import chunks, has_conflict, marked, mine_of

TEXTS = st.lists(st.sampled_from("abcd"), max_size=8).map(
    lambda lines: "".join(f"{x}\n" for x in lines)
)


def test_equal_edits_are_applied_once() -> None:
    assert mine_of(chunks("a\n", "a\nb\n", "a\nb\n")) == "a\nb\n"


def test_conflict_shows_only_the_lines_that_differ() -> None:
    merged = chunks("a\nb\nc\nd\ne\n", "a\nB\nc\nd\nE\n", "a\n2\nc\nd\ne\n")
    assert marked(merged, "new") == "a\n<<<<<<< yours\nB\n=======\n2\n>>>>>>> new\nc\nd\nE\n"


@given(TEXTS, TEXTS)
def test_edits_of_one_side_alone_are_taken_whole(before: str, after: str) -> None:
    for merged in (chunks(before, after, before), chunks(before, before, after)):
        assert not has_conflict(merged)
        assert mine_of(merged) == after


@given(TEXTS, TEXTS, TEXTS)
def test_no_line_of_either_side_is_lost(before: str, mine: str, theirs: str) -> None:
    merged = chunks(before, mine, theirs)
    result = marked(merged, "new")
    for text in (mine, theirs):
        added = set(text.split()) - set(before.split())
        assert added <= set(result.split())
    swapped = chunks(before, theirs, mine)
    assert has_conflict(swapped) == has_conflict(merged)
