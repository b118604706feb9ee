"""What FilterLogEvents is asked, which lines are wanted, how they read, why there are none."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from voicecore.cloud.observe.logs import Silence, Trouble, questions, reason_for, trouble_in
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.commands.logs import BadMoment, document_of, line_of, moment_of
from voicecore.contract.agent_log import Entry, Sieve, is_printed

NOW = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
SESSION = "3f9c2a71-0000"
STREAM = f"2026/11/22/[runtime-logs-{SESSION}]0a1b"


def test_without_a_session_no_prefix_fits_all_dates() -> None:
    assert questions("", NOW - timedelta(days=3), NOW) == [{}]
    assert questions("3f9c", NOW - timedelta(days=300), NOW) == [{}]


@pytest.mark.parametrize(
    ("since", "days"),
    [
        (NOW, ["21", "22"]),  # a session of 8 hours began yesterday
        (NOW.replace(hour=9), ["22"]),
        (NOW - timedelta(days=2), ["19", "20", "21", "22"]),
        # The day counts in UTC: in Tokyo it is the 22nd already.
        (datetime(2026, 11, 22, 3, tzinfo=timezone(timedelta(hours=9))), ["21", "22"]),
    ],
)
def test_a_sessions_streams_are_asked_for_by_every_utc_day_it_may_have_begun(
    since: datetime, days: list[str]
) -> None:
    asked = questions("3f9c", since, NOW.replace(hour=12))
    assert [each["logStreamNamePrefix"] for each in asked[:-1]] == [
        f"2026/11/{day}/[runtime-logs-3f9c" for day in days
    ]
    assert asked[-1] == {"filterPattern": '{ ($.session_id = "3f9c*") || ($.sessionId = "3f9c*") }'}


@pytest.mark.parametrize(
    ("stream", "text", "session"),
    [
        (STREAM, "no JSON", SESSION),
        ("2026/11/22/[runtime-logs]0a1b", "no JSON", ""),
        ("2026/11/22/[runtime-logs]0a1b", '{"session_id": "mine"}', "mine"),
        ("2026/11/22/[runtime-logs]0a1b", '{"sessionId": "sdks"}', "sdks"),
        (STREAM, '{"session_id": ""}', SESSION),
        (STREAM, '{"broken', SESSION),
        (STREAM, "[1]", SESSION),
    ],
)
def test_whose_a_line_is(stream: str, text: str, session: str) -> None:
    assert Entry(NOW, stream, text).session == session


def test_which_streams_are_of_programs() -> None:
    assert is_printed(STREAM) and is_printed("2026/11/22/[runtime-logs]0a1b")
    assert is_printed(f"2026/11/22/[$LATEST]{'0a' * 16}")
    assert is_printed(f"server/server/{'0a' * 16}")
    assert not is_printed("otel-rt-logs") and not is_printed("spans")


@pytest.mark.parametrize(
    ("level", "text", "passes"),
    [
        ("warning", '{"level": "INFO"}', False),
        ("warning", '{"level": "ERROR"}', True),
        ("warning", '{"level": "SUCCESS"}', False),
        ("debug", '{"level": "TRACE"}', True),
        ("error", "Traceback (most recent call last):", True),
        ("", '{"level": "DEBUG"}', True),
    ],
)
def test_levels(level: str, text: str, passes: bool) -> None:
    assert Sieve(level=level).passes(Entry(NOW, STREAM, text)) is passes


def test_text_in_whatever_case_and_the_beginning_of_a_session() -> None:
    entry = Entry(NOW, STREAM, '{"text": "Grüße aus KÖLN"}')
    assert Sieve(text="köln", session="3f9c").passes(entry)
    assert not Sieve(text="bonn").passes(entry)
    assert not Sieve(session="9c2a").passes(entry)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2 d", NOW - timedelta(days=2)),
        ("1w", NOW - timedelta(days=7)),
        ("99999w", NOW - timedelta(days=3653)),  # no log is kept longer
        ("1950-01-01", NOW - timedelta(days=3653)),
        ("2026-11-21T14:00Z", datetime(2026, 11, 21, 14, tzinfo=UTC)),
        ("2026-11-21T14:00+02:00", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21).astimezone(UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "10", "10y", "-5m", "0001-01-01"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(BadMoment):
        moment_of(text, NOW)


def words(entry: Entry, zone: timezone = UTC) -> str:
    return "".join(span.text for span in line_of(entry, NOW, zone))


def test_lines_for_people_tell_the_date_where_it_is_not_today() -> None:
    entry = Entry(
        NOW - timedelta(hours=1), STREAM, '{"event": "user_said", "turn": 3, "text": "Hi"}'
    )
    assert words(entry) == "2026-11-21 23:30:00  3f9c2a71   3  you    Hi"
    tokyo = timezone(timedelta(hours=9))
    assert words(entry, tokyo) == "08:30:00  3f9c2a71   3  you    Hi"


def test_lines_of_any_shape_can_be_shown() -> None:
    events = ("1", '"user_said"', '"log"', '"latency", "total_ms": null', '"user_said", "text": 1',
              '"latency", "stages": [1]', '"session_ended", "seconds": "x"')  # fmt: skip
    for text in ("", "plain", "{}", "{", *(f'{{"event": {event}}}' for event in events)):
        assert words(Entry(NOW, STREAM, text)).startswith("00:30:00  3f9c2a71")


def test_lines_for_programs() -> None:
    assert document_of(Entry(NOW, "2026/11/22/[runtime-logs]0a", "hi")) == {
        "time": "2026-11-22T00:30:00.000Z",
        "session": None,
        "stream": "2026/11/22/[runtime-logs]0a",
        "text": "hi",
    }


def refused(code: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "FilterLogEvents")


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (EndpointConnectionError(endpoint_url="https://logs"), Trouble.OFFLINE),
        (refused("ServiceUnavailableException", 503), Trouble.OFFLINE),
        (refused("ThrottlingException"), Trouble.BUSY),
        (refused("ExpiredTokenException"), Trouble.LOGIN),
        (refused("UnrecognizedClientException"), Trouble.LOGIN),
        (refused("AccessDeniedException"), None),
        (refused("InvalidParameterException"), None),
    ],
)
def test_what_is_waited_out(error: Any, trouble: Trouble | None) -> None:
    assert trouble_in(error) is trouble


STACK = DeployedStack("id", "voicecore-line-dev", "CREATE_COMPLETE")


def runtime(status: str = "READY", reason: str = "") -> Runtime:
    return Runtime("line_dev-a", "arn", "line_dev", "1", status, reason, "image", "role", "PUBLIC",
                   {}, "", NOW, True)  # fmt: skip


@pytest.mark.parametrize(
    ("silence", "narrowed", "said", "hint"),
    [
        (Silence(None, None, False, None), False, "not deployed", "voicecore deploy"),
        (Silence(STACK, None, False, None), False, "has no runtime", "voicecore deploy"),
        (Silence(STACK, runtime(), False, None), False, "does not exist yet", "talk --remote"),
        (Silence(STACK, runtime(), True, None), False, "has no lines yet", "talk --remote"),
        (
            Silence(STACK, runtime("CREATE_FAILED", "Runtime initialization time exceeded"),
                    True, None),
            False, "CREATE_FAILED: Runtime initialization", "voicecore dev",
        ),
        (Silence(STACK, runtime("CREATE_FAILED"), True, None), False, "not say why", "status"),
        (Silence(STACK, runtime(), True, NOW - timedelta(days=1)), False, "the last line is of",
         "--since 2026-11-21T00:20Z"),
        (Silence(STACK, runtime(), True, NOW), True, "No line is like that", "--since"),
        (Silence(STACK, runtime(), True, NOW), False, "nothing new", "--follow"),
    ],
)  # fmt: skip
def test_why_there_is_nothing(silence: Silence, narrowed: bool, said: str, hint: str) -> None:
    reason = reason_for(silence, NOW - timedelta(hours=1), narrowed)
    assert said in reason.message
    assert hint in reason.hint
