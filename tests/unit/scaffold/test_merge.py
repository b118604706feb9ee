"""A merge brings files up to date and keeps the user's edits, or leaves a clear conflict."""

import hashlib

import pytest

from voicecore.catalog.pipelines import GENERATED, PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.scaffold import record
from voicecore.scaffold.merge import Change, Kept, Kind, plan
from voicecore.scaffold.migrations import moved
from voicecore.scaffold.render import Answers, Files, render

OLD, NEW = b"a\nb\nc\n", b"a\nB\nc\n"
SOUND, OTHER_SOUND, OWN_SOUND = b"RIFF\xff1", b"RIFF\xff2", b"RIFF\xff3"


def digest(content: bytes) -> bytes:
    return b"sha256:" + hashlib.sha256(content).hexdigest().encode()


@pytest.mark.parametrize(
    ("present", "kind"),
    [
        (OLD, "changed"),
        (OLD + b"d\nmine\n", "merged"),
        (b"mine\n" + OLD, "merged"),
        (OLD.replace(b"\n", b"\r\n"), "merged"),
    ],
)
def test_unedited_lines_are_changed(present: bytes, kind: Kind) -> None:
    after = present.replace(b"b", b"B")
    planned = plan({"f": OLD}, {"f": present}, {"f": NEW})
    assert planned.changes == (Change("f", kind, present, after),)
    assert planned.conflicts == ()


def test_toml_keys_side_by_side_and_comments_of_the_template_are_merged() -> None:
    old = b"a = 1\nb = 2\n\n[c]\nd = 1\n"
    present = old.replace(b"a = 1", b"a = 5")
    new = old.replace(b"b = 2", b"b = 3").replace(b"d", b"# why\nd")
    planned = plan({"f.toml": old}, {"f.toml": present}, {"f.toml": new})
    merged = b"a = 5\nb = 3\n\n[c]\n# why\nd = 1\n"
    assert planned.changes == (Change("f.toml", "merged", present, merged),)


@pytest.mark.parametrize(
    ("old", "present", "new"),
    [
        ({"f": OLD}, {"f": b"all mine\n"}, {"f": OLD}),  # the template does not change
        ({"f": OLD}, {"f": NEW}, {"f": NEW}),  # the change is already made
        ({"f": OLD}, {"f": NEW + b"mine\n"}, {"f": NEW}),
        ({"f": OLD}, {}, {"f": OLD}),  # the user deleted it
        ({"gone": OLD}, {}, {}),
        ({}, {"server/.env": b"KEY=1"}, {"server/.env": b"KEY=2"}),
        ({}, {}, {"server/.env": b"KEY=2"}),
        ({"f": digest(SOUND)}, {"f": OWN_SOUND}, {"f": SOUND}),
    ],
)
def test_files_without_changes_stay(old: Files, present: Files, new: Files) -> None:
    planned = plan(old, present, new)
    assert (planned.changes, planned.kept) == ((), ())


@pytest.mark.parametrize(
    ("old", "present", "marked"),
    [
        (OLD, b"a\nmine\nc\n", b"a\n<<<<<<< yours\nmine\n=======\nB\n>>>>>>> new\nc\n"),
        (OLD, b"a\nb\nmine\nc\n", b"a\n<<<<<<< yours\nb\nmine\n=======\nB\n>>>>>>> new\nc\n"),
        (OLD, b"a\nmine", b"a\n<<<<<<< yours\nmine\n=======\nB\nc\n>>>>>>> new\n"),
        (None, b"own\n", b"<<<<<<< yours\nown\n=======\na\nB\nc\n>>>>>>> new\n"),
    ],
)
def test_lines_that_both_changed_get_markers(
    old: bytes | None, present: bytes, marked: bytes
) -> None:
    planned = plan({"f": old} if old else {}, {"f": present}, {"f": NEW})
    assert planned.changes == (Change("f", "conflict", present, marked),)
    assert planned.conflicts == planned.changes


@pytest.mark.parametrize(
    ("old", "present", "new", "reason"),
    [
        ({"f": OLD}, {}, {"f": NEW}, "you deleted it, so the new one is not written"),
        ({"f": OLD}, {"f": b"mine\n"}, {}, "no longer generated, but you edited it"),
        (
            {"f": digest(SOUND)},
            {"f": OWN_SOUND},
            {"f": OTHER_SOUND},
            "you replaced it, and it is not text",
        ),
        ({"f": OLD}, {"f": b"\xff\xfe"}, {"f": NEW}, "you replaced it, and it is not text"),
    ],
)
def test_files_that_are_the_users_by_now_are_kept(
    old: Files, present: Files, new: Files, reason: str
) -> None:
    planned = plan(old, present, new)
    assert (planned.changes, planned.kept) == ((), (Kept("f", reason),))


def test_files_no_longer_generated_are_removed() -> None:
    assert plan({"f": OLD}, {"f": OLD}, {}).changes == (Change("f", "removed", OLD, b""),)


def test_unedited_files_of_which_only_the_digest_is_recorded_are_changed() -> None:
    planned = plan({"f": digest(SOUND)}, {"f": SOUND}, {"f": OTHER_SOUND})
    assert planned.changes == (Change("f", "changed", SOUND, OTHER_SOUND),)


@pytest.mark.parametrize(("after", "merged"), [(OLD, OLD), (NEW, NEW)])
def test_edits_follow_a_file_that_a_release_moved(after: bytes, merged: bytes) -> None:
    present = {"app.py": OLD + b"d\nmine\n"}
    planned = plan({"app.py": OLD}, present, {"internal/app.py": after}, moved={
        "app.py": "internal/app.py"
    })  # fmt: skip
    written = {change.path: change.after for change in planned.changes}
    assert written == {"internal/app.py": merged + b"d\nmine\n", "app.py": b""}
    assert planned.changes[1].kind == "removed"
    assert planned.conflicts == ()


def test_a_file_at_the_new_path_is_not_replaced_by_a_moved_one() -> None:
    present = {"app.py": b"mine\n", "internal/app.py": NEW}
    planned = plan({"app.py": OLD}, present, {"internal/app.py": NEW}, moved={
        "app.py": "internal/app.py"
    })  # fmt: skip
    assert planned.changes == ()
    assert [kept.path for kept in planned.kept] == ["app.py"]


def test_moves_of_several_releases_lead_to_the_last_path() -> None:
    releases = {"0.2.0": {"a": "b", "x": "y"}, "0.3.0": {"b": "c"}}
    assert moved(releases) == {"a": "c", "x": "y", "b": "c"}


@pytest.mark.parametrize("pipeline", GENERATED)
@pytest.mark.parametrize(
    ("first", "second"),
    [("websocket", "webrtc"), ("webrtc", "websocket"), ("webrtc", "daily"), ("daily", "websocket")],
)
def test_add_gives_same_project_as_init_with_both(pipeline: str, first: str, second: str) -> None:
    def project(*transports: str) -> Files:
        services = services_of(PIPELINES[pipeline], {})
        return render(Answers("mine", transports, pipeline, "us-east-1", services), "")

    one, both = project(first), project(first, second)
    planned = plan(record.recorded(one), one, both)
    assert (planned.conflicts, planned.kept) == ((), ())
    added = {change.path: change.after for change in planned.changes}
    assert one | added == both
    assert not [path for path in added if path in one and path.endswith("bot.py")]
