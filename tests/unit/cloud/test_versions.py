"""Versions in tags: written, read again, cut and numbered."""

import re
import unicodedata
from datetime import timedelta

import pytest

from voicecore.cloud.stacks.versions import (
    NEW,
    VERSIONS_KEPT,
    Live,
    live_in,
    tags_of,
    versions_in,
    with_next_version,
)

DIGEST = "sha256:" + "a" * 64

# CloudFormation's schema of AWS::BedrockAgentCore::Runtime: TagsMap.
VALUE = re.compile(r"[a-zA-Z0-9\s._:/=+@-]{0,256}")


@pytest.mark.parametrize(
    "message", ["", "first", "fix: don't, ü ~ = % 100%3D", "😀" * 12, "a=3D", "line\nbreak"]
)
def test_version_survives_its_tag(now, message: str) -> None:
    versions = with_next_version((), DIGEST, message, now)
    (value,) = tags_of(versions).values()
    assert VALUE.fullmatch(value)
    (read,) = versions_in(tags_of(versions))
    assert (read.number, read.image, read.time) == (1, DIGEST, now)
    assert read.message == " ".join(message.split())


@pytest.mark.parametrize(
    "message",
    [
        "two  spaces", " around ", "x" * 205, "a tab\tand\r\nlines", "👩‍👩‍👧 ü" * 40,
        "word " * 60, "\x00nul\x1b[31m \u202ebidi\u2028line", "from argv \udcff",
    ],
)  # fmt: skip
def test_version_is_the_same_after_its_tag(now, message: str) -> None:
    versions = with_next_version((), DIGEST, message, now)
    assert versions_in(tags_of(versions)) == versions
    assert tags_of(versions_in(tags_of(versions))) == tags_of(versions)
    assert not {"Cc", "Cs"} & set(map(unicodedata.category, versions[0].message))


@pytest.mark.parametrize("message", ["x" * 1000, "ü" * 1000, "😀" * 1000, "x😀" * 500])
def test_long_message_is_cut_between_characters(now, message: str) -> None:
    (value,) = tags_of(with_next_version((), DIGEST, message, now)).values()
    assert VALUE.fullmatch(value) and len(value) > 230
    (read,) = versions_in({"voicecore:v1": value})
    assert message.startswith(read.message)


def test_numbers_continue_and_old_versions_are_dropped(now) -> None:
    versions = ()
    for day in range(30):
        versions = with_next_version(versions, DIGEST, f"day {day}", now + timedelta(days=day))
        versions = versions_in(tags_of(versions))
    assert [version.number for version in versions] == list(range(11, 31))
    assert len(versions) == VERSIONS_KEPT


def test_title_is_one_line(now) -> None:
    (version,) = with_next_version((), DIGEST, "first", now)
    assert version.title == "v1 2026-11-22T12:30:00Z first"
    assert with_next_version((), DIGEST, "", now)[0].title == "v1 2026-11-22T12:30:00Z"


def test_other_tags_are_ignored(now) -> None:
    tags = {"voicecore:version": "0.1", "voicecore:v2": "mine", "voicecore:v0": "x", "v1": "x"}
    assert versions_in(tags | tags_of(with_next_version((), DIGEST, "", now)))[0].number == 1
    assert len(versions_in(tags)) == 0


@pytest.mark.parametrize("by", ["", "alice", "alice+test@example.com,=x", "ü" * 100, "x" * 100])
@pytest.mark.parametrize("commit", ["", "0123456789abcdef01", "0123456789abcdef01-dirty"])
@pytest.mark.parametrize("message", ["", "+a+b+ c", "x" * 300])
def test_commit_and_deployer_survive_the_tag(now, commit: str, by: str, message: str) -> None:
    versions = with_next_version((), DIGEST, message, now, commit, by)
    (value,) = tags_of(versions).values()
    assert VALUE.fullmatch(value)
    assert versions_in(tags_of(versions)) == versions
    (version,) = versions
    assert version.image == DIGEST
    assert version.commit == commit.replace("cdef01", "")
    assert by.startswith(version.by) and bool(version.by) == bool(by)


def test_version_of_before_commits_keeps_its_tag() -> None:
    tags = {"voicecore:v1": f"2026-11-22T12:30:00Z {DIGEST} don=27t + you"}
    assert tags_of(versions_in(tags)) == tags
    assert versions_in(tags)[0].message == "don't + you"


def test_callers_leave_each_version_once() -> None:
    live = NEW.moved("2").moved("3")
    assert live == Live("3", ("1", "2"))
    assert live.moved("2") == Live("2", ("1", "3"))
    assert live.moved("2").moved("3") == live
    assert live.moved("3") == live
    for version in range(4, 30):
        live = live.moved(str(version))
    assert live.earlier[-1] == "28" and len(live.earlier) == 10


@pytest.mark.parametrize("live", [NEW, Live("7", ("2", "5"))])
def test_parameters_say_where_callers_are(live: Live) -> None:
    assert all(live.parameters.values())
    assert live_in(live.parameters) == live


def test_parameters_of_before_say_less() -> None:
    assert live_in({"LiveVersion": "3"}) == Live("3")
    assert live_in({"ImageUri": "x"}) is None
