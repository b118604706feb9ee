"""`voicecore add` merges a transport with the user's edits, or changes nothing."""

from typing import Literal

import pytest

from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.scaffold.merge import Change, Conflict, merge, plan
from voicecore.scaffold.render import Answers, render

OLD, NEW = b"a\nb\nc\n", b"a\nB\nc\n"


@pytest.mark.parametrize(
    ("present", "kind"),
    [
        (OLD, "changed"),
        (OLD + b"d\nmine\n", "merged"),
        (b"mine\n" + OLD, "merged"),
    ],
)
def test_unedited_lines_are_changed(present: bytes, kind: Literal["changed", "merged"]) -> None:
    after = present.replace(b"b\n", b"B\n")
    planned = plan({"f": OLD}, {"f": present}, {"f": NEW})
    assert planned.changes == (Change("f", kind, present, after),)
    assert planned.conflicts == ()


@pytest.mark.parametrize(
    ("old", "present", "new"),
    [
        ({"f": OLD}, {"f": b"all mine\n"}, {"f": OLD}),  # the rendered file does not change
        ({"f": OLD}, {"f": NEW}, {"f": NEW}),  # the change is already made
        ({"f": OLD}, {"f": NEW + b"mine\n"}, {"f": NEW}),
        ({"f": OLD}, {}, {"f": OLD}),  # the user deleted it
        ({}, {"server/.env": b"KEY=1"}, {"server/.env": b"KEY=2"}),
        ({"gone": OLD}, {"gone": OLD}, {}),
    ],
)
def test_files_without_changes_stay(
    old: dict[str, bytes], present: dict[str, bytes], new: dict[str, bytes]
) -> None:
    planned = plan(old, present, new)
    assert (planned.changes, planned.conflicts) == ((), ())


@pytest.mark.parametrize(
    ("old", "present"),
    [
        ({"f": OLD}, b"a\nmine\nc\n"),
        ({"f": OLD}, b"a\nb\nmine\nc\n"),  # next to the changed line
        ({}, b"an unrelated file of that name\n"),
        ({"f": OLD}, b"\xff\xfe"),
    ],
)
def test_edited_lines_are_a_conflict(old: dict[str, bytes], present: bytes) -> None:
    planned = plan(old, {"f": present}, {"f": NEW})
    assert planned.changes == ()
    assert planned.conflicts == (Conflict("f", old.get("f", b""), NEW),)


def test_equal_edits_are_applied_once() -> None:
    assert merge(["a"], ["a", "b"], ["a", "b"]) == ["a", "b"]
    assert merge([], ["x"], ["y"]) is None


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(
    ("first", "second"),
    [("websocket", "webrtc"), ("webrtc", "websocket"), ("webrtc", "daily"), ("daily", "websocket")],
)
def test_add_gives_same_project_as_init_with_both(pipeline: str, first: str, second: str) -> None:
    def project(*transports: str) -> dict[str, bytes]:
        services = services_of(PIPELINES[pipeline], {})
        return render(Answers("mine", transports, pipeline, "us-east-1", services), "")

    one, both = project(first), project(first, second)
    planned = plan(one, one, both)
    assert planned.conflicts == ()
    added = {change.path: change.after for change in planned.changes}
    assert one | added == both
    assert not [path for path in added if path in one and path.endswith("bot.py")]
