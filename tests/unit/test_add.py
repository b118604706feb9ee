"""A transport is added beside what the user has made of a project, or not at all."""

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
def test_what_the_user_did_not_touch_is_changed(present: bytes, kind: str) -> None:
    after = present.replace(b"b\n", b"B\n")
    made = plan({"f": OLD}, {"f": present}, {"f": NEW})
    assert made.changes == (Change("f", kind, present, after),)  # pyright: ignore
    assert made.conflicts == ()


@pytest.mark.parametrize(
    ("old", "present", "new"),
    [
        ({"f": OLD}, {"f": b"all mine\n"}, {"f": OLD}),  # nothing of ours changes
        ({"f": OLD}, {"f": NEW}, {"f": NEW}),  # it is there already
        ({"f": OLD}, {"f": NEW + b"mine\n"}, {"f": NEW}),
        ({"f": OLD}, {}, {"f": OLD}),  # the user does without
        ({}, {"server/.env": b"KEY=1"}, {"server/.env": b"KEY=2"}),
        ({"gone": OLD}, {"gone": OLD}, {}),
    ],
)
def test_what_needs_no_change_stays(
    old: dict[str, bytes], present: dict[str, bytes], new: dict[str, bytes]
) -> None:
    made = plan(old, present, new)
    assert (made.changes, made.conflicts) == ((), ())


@pytest.mark.parametrize(
    ("old", "present"),
    [
        ({"f": OLD}, b"a\nmine\nc\n"),
        ({"f": OLD}, b"a\nb\nmine\nc\n"),  # it touches ours
        ({}, b"another file of that name\n"),
        ({"f": OLD}, b"\xff\xfe"),
    ],
)
def test_the_users_own_lines_win_over_nothing_and_lose_to_nothing(
    old: dict[str, bytes], present: bytes
) -> None:
    made = plan(old, {"f": present}, {"f": NEW})
    assert made.changes == ()
    assert made.conflicts == (Conflict("f", old.get("f", b""), NEW),)


def test_equal_edits_are_made_once() -> None:
    assert merge(["a"], ["a", "b"], ["a", "b"]) == ["a", "b"]
    assert merge([], ["x"], ["y"]) is None


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(
    ("first", "second"),
    [("websocket", "webrtc"), ("webrtc", "websocket"), ("webrtc", "daily"), ("daily", "websocket")],
)
def test_adding_makes_what_init_makes_with_both(pipeline: str, first: str, second: str) -> None:
    def project(*transports: str) -> dict[str, bytes]:
        services = services_of(PIPELINES[pipeline], {})
        return render(Answers("mine", transports, pipeline, "us-east-1", services), "")

    one, both = project(first), project(first, second)
    made = plan(one, one, both)
    assert made.conflicts == ()
    added = {change.path: change.after for change in made.changes}
    assert one | added == both
    assert not [path for path in added if path in one and path.endswith("bot.py")]
