"""`voicecore logs`: queries, filters, display, --since, waiting, and empty logs."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.standins.aws_answers import ClientAnswers
from tests.standins.cloudformation_double import CloudFormationDouble
from voicecore.cloud.observe.empty_log import EmptyLog, reason_for
from voicecore.cloud.observe.logs import (
    LogSource,
    WaitReason,
    filter_queries,
    last_entry_time,
    wait_reason,
)
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.commands.logs import BadSince, log_document, log_line, parse_since
from voicecore.contract.agent_log import LogEntry, LogFilter, is_output_stream
from voicecore.project.identity import Owner

NOW = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
SESSION = "3f9c2a71-0000"
STREAM = f"2026/11/22/[runtime-logs-{SESSION}]0a1b"


def test_without_session_one_query_asks_for_all_lines() -> None:
    assert filter_queries("", NOW - timedelta(days=3), NOW) == [{}]
    assert filter_queries("3f9c", NOW - timedelta(days=300), NOW) == [{}]


@pytest.mark.parametrize(
    ("since", "days"),
    [
        (NOW, ["21", "22"]),  # a session of 8 hours started yesterday
        (NOW.replace(hour=9), ["22"]),
        (NOW - timedelta(days=2), ["19", "20", "21", "22"]),
        # Days are in UTC: in Tokyo it is already the 22nd.
        (datetime(2026, 11, 22, 3, tzinfo=timezone(timedelta(hours=9))), ["21", "22"]),
    ],
)
def test_queries_cover_every_utc_day_on_which_the_session_may_have_started(
    since: datetime, days: list[str]
) -> None:
    queries = filter_queries("3f9c", since, NOW.replace(hour=12))
    assert [each["logStreamNamePrefix"] for each in queries[:-1]] == [
        f"2026/11/{day}/[runtime-logs-3f9c" for day in days
    ]
    assert queries[-1] == {
        "filterPattern": '{ ($.session_id = "3f9c*") || ($.sessionId = "3f9c*") }'
    }


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
def test_session_of_a_line(stream: str, text: str, session: str) -> None:
    assert LogEntry(NOW, stream, text).session == session


def test_output_streams() -> None:
    assert is_output_stream(STREAM) and is_output_stream("2026/11/22/[runtime-logs]0a1b")
    assert is_output_stream(f"2026/11/22/[$LATEST]{'0a' * 16}")
    assert is_output_stream(f"server/server/{'0a' * 16}")
    assert not is_output_stream("otel-rt-logs") and not is_output_stream("spans")


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
def test_filter_by_level(level: str, text: str, passes: bool) -> None:
    assert LogFilter(level=level).passes(LogEntry(NOW, STREAM, text)) is passes


def test_filter_by_text_and_session_prefix() -> None:
    entry = LogEntry(NOW, STREAM, '{"text": "Grüße aus KÖLN"}')
    assert LogFilter(text="köln", session="3f9c").passes(entry)
    assert not LogFilter(text="bonn").passes(entry)
    assert not LogFilter(session="9c2a").passes(entry)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2 d", NOW - timedelta(days=2)),
        ("1w", NOW - timedelta(days=7)),
        ("99999w", NOW - timedelta(days=3653)),  # the longest retention time
        ("1950-01-01", NOW - timedelta(days=3653)),
        ("2026-11-21T14:00Z", datetime(2026, 11, 21, 14, tzinfo=UTC)),
        ("2026-11-21T14:00+02:00", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21).astimezone(UTC)),
    ],
)
def test_parses_since(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "10", "10y", "-5m", "0001-01-01"])
def test_rejects_bad_since(text: str) -> None:
    with pytest.raises(BadSince):
        parse_since(text, NOW)


def shown(entry: LogEntry, zone: timezone = UTC) -> str:
    return "".join(span.text for span in log_line(entry, NOW, zone))


def test_line_shows_the_date_if_it_is_not_today() -> None:
    entry = LogEntry(
        NOW - timedelta(hours=1), STREAM, '{"event": "user_said", "turn": 3, "text": "Hi"}'
    )
    assert shown(entry) == "2026-11-21 23:30:00  3f9c2a71   3  you    Hi"
    tokyo = timezone(timedelta(hours=9))
    assert shown(entry, tokyo) == "08:30:00  3f9c2a71   3  you    Hi"


def test_lines_of_any_shape_are_shown() -> None:
    events = ("1", '"user_said"', '"log"', '"latency", "total_ms": null', '"user_said", "text": 1',
              '"latency", "stages": [1]', '"session_ended", "seconds": "x"')  # fmt: skip
    odd = ('{"event":' * 9999, '{"event": ' + "9" * 5000 + "}", '{"event": NaN}')
    for text in ("", "plain", "{}", "{", *odd, *(f'{{"event": {event}}}' for event in events)):
        assert shown(LogEntry(NOW, STREAM, text)).startswith("00:30:00  3f9c2a71")


def test_log_document() -> None:
    assert log_document(LogEntry(NOW, "2026/11/22/[runtime-logs]0a", "hi")) == {
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
    ("error", "reason"),
    [
        (EndpointConnectionError(endpoint_url="https://logs"), WaitReason.OFFLINE),
        (refused("ServiceUnavailableException", 503), WaitReason.OFFLINE),
        (refused("InternalFailure", 500), WaitReason.OFFLINE),
        (refused("ThrottlingException"), WaitReason.BUSY),
        (refused("ExpiredTokenException"), WaitReason.LOGIN),
        (refused("UnrecognizedClientException"), WaitReason.LOGIN),
        (refused("AccessDeniedException"), None),
        (refused("InvalidParameterException"), None),
    ],
)
def test_temporary_problems_are_waited_out(error: Any, reason: WaitReason | None) -> None:
    assert wait_reason(error) is reason


def test_live_tail_without_a_runtime_takes_at_most_ten_groups() -> None:
    prefix = "/aws/bedrock-agentcore/runtimes/line_dev-"
    names = [f"{prefix}abcdefghi{n:x}-DEFAULT" for n in range(12)]
    groups = {"logGroups": [{"logGroupName": n} for n in names]}
    clients = {
        "cloudformation": CloudFormationDouble(),
        "logs": ClientAnswers({"describe_log_groups": groups}),
    }
    aws: Any = SimpleNamespace(client=clients.__getitem__)
    assert LogSource(Owner("line"), "dev").current_groups(aws) == names[:10]


def test_last_entry_is_that_of_the_latest_stream() -> None:
    streams = [
        {"logStreamName": STREAM, "lastEventTimestamp": 1000 * (NOW.timestamp() + seconds)}
        for seconds in (-60, 0, -30)
    ]
    spans = {"logStreamName": "spans", "lastEventTimestamp": 1000 * (NOW.timestamp() + 99)}
    client = ClientAnswers({"describe_log_streams": {"logStreams": [*streams, spans]}})
    assert last_entry_time(client, "group") == NOW


STACK = DeployedStack("id", "voicecore-line-dev", "CREATE_COMPLETE")


def runtime(status: str = "READY", reason: str = "") -> Runtime:
    return Runtime("line_dev-a", "arn", "line_dev", "1", status, reason, "image", "role", "PUBLIC",
                   {}, "", NOW, True)  # fmt: skip


@pytest.mark.parametrize(
    ("log", "filtered", "message", "hint"),
    [
        (EmptyLog(None, None, False, None), False, "not deployed", "voicecore deploy"),
        (EmptyLog(STACK, None, False, None), False, "has no runtime", "voicecore deploy"),
        (EmptyLog(STACK, runtime(), False, None), False, "does not exist yet", "talk --remote"),
        (EmptyLog(STACK, runtime(), True, None), False, "has no lines yet", "talk --remote"),
        (
            EmptyLog(STACK, runtime("CREATE_FAILED", "Runtime initialization time exceeded"),
                    True, None),
            False, "CREATE_FAILED: Runtime initialization", "voicecore dev",
        ),
        (EmptyLog(STACK, runtime("CREATE_FAILED"), True, None), False, "not say why", "status"),
        (EmptyLog(STACK, runtime(), True, NOW - timedelta(days=1)), False, "the last line is from",
         "--since 2026-11-21T00:20Z"),
        (EmptyLog(STACK, runtime(), True, NOW), True, "No line matches", "--since"),
        (EmptyLog(STACK, runtime(), True, NOW), False, "nothing new", "--follow"),
    ],
)  # fmt: skip
def test_reason_for_an_empty_log(log: EmptyLog, filtered: bool, message: str, hint: str) -> None:
    reason = reason_for(log, NOW - timedelta(hours=1), filtered)
    assert message in reason.message
    assert hint in reason.hint
