"""Paths, session IDs and headers, as AgentCore parses and filters them."""

from urllib.parse import quote

import pytest
from bedrock_agentcore.runtime.models import RESTRICTED_HEADERS

from voicecore.local.api_errors import ApiError
from voicecore.local.gateway.request import (
    REQUEST_HEADER,
    SESSION_HEADER,
    BadAllowlist,
    RequestTarget,
    agent_headers,
    check_allowlist,
    check_session_id,
    check_target,
    make_session_id,
    parse_target,
    session_id_of,
)
from voicecore.local.gateway.strict import strict_refusals

ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/my_agent-local00000"
ENCODED = ARN.replace(":", "%3A").replace("/", "%2F")
CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-"
ACCOUNT = "000000000000"
PLAIN = RequestTarget("ws", ARN, "DEFAULT")


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", f"/runtimes/{ENCODED}/ws", "qualifier=a", RequestTarget("ws", ARN, "a")),
        (
            "POST",
            f"/runtimes/{ENCODED}/invocations",
            "qualifier=a",
            RequestTarget("invocations", ARN, "a"),
        ),
        (
            "POST",
            f"/runtimes/{ENCODED}/stopruntimesession",
            "",
            RequestTarget("stopruntimesession", ARN, "DEFAULT"),
        ),
        (
            "GET",
            "/runtimes/my-1/ws",
            f"accountId={ACCOUNT}",
            RequestTarget("ws", "my-1", "DEFAULT"),
        ),
        ("GET", "/runtimes/my-1/ws", "", 400),
        ("POST", f"/runtimes/{ENCODED}/ws", "", 400),
        ("GET", f"/runtimes/{ENCODED}/invocations", "", 400),
        ("GET", f"/runtimes/{ARN}/ws", "", RequestTarget("ws", ARN, "DEFAULT", False)),
        ("POST", f"/runtimes/{ENCODED}/commands", "", RequestTarget("commands", ARN, "DEFAULT")),
        (
            "GET",
            f"/runtimes/{ENCODED}/invocations/.well-known/agent-card.json",
            "",
            RequestTarget("agent-card", ARN, "DEFAULT"),
        ),
        ("GET", f"/runtimes/{ARN}/more/ws", "", 401),
        ("GET", "/runtimes/a/b/ws", f"accountId={ACCOUNT}", 401),
        ("GET", "/runtimes//ws", "", 401),
        ("GET", f"/runtimes/{ENCODED}/ws/", "", 401),
        ("GET", f"/runtimes/{ENCODED}/ws/shells", "", 401),
        ("GET", "/ping", "", 401),
        ("GET", "/", "", 401),
    ],
)
def test_request_paths_are_parsed_or_refused(
    method: str, path: str, query: str, expected: RequestTarget | int
) -> None:
    target = parse_target(method, path, query, ACCOUNT)
    assert (target.status if isinstance(target, ApiError) else target) == expected


@pytest.mark.parametrize(
    ("arn", "qualifier", "status"),
    [
        (ARN, "DEFAULT", None),
        ("my_agent-local00000", "DEFAULT", None),
        (ARN + "x", "DEFAULT", 404),
        (ARN, "prod", 404),
    ],
)
def test_unknown_runtime_or_endpoint_is_404(arn: str, qualifier: str, status: int | None) -> None:
    error = check_target(RequestTarget("ws", arn, qualifier), ARN, ("DEFAULT",))
    assert (error.status if error else None) == status


@pytest.mark.parametrize(
    ("session_id", "accepted"),
    [
        ("a" * 32, False),
        ("a" * 33, True),
        ("a" * 100, True),
        ("a" * 256, True),
        ("a" * 257, False),
        ("-" + "a" * 40, False),
        ("a_-9" * 10, True),
        ("a." * 20, False),
        ("ä" * 40, False),
        ("a" * 40 + "\n", False),
        ("", False),
        pytest.param(make_session_id(), True, id="generated"),
        ("CA" + "0" * 32, True),  # a Twilio CallSid
    ],
)
def test_session_id_has_33_to_256_characters_of_the_alphabet(
    session_id: str, accepted: bool
) -> None:
    error = check_session_id(session_id)
    assert (error is None) == accepted
    if error:
        assert (error.status, error.kind) == (400, "ValidationException")


def test_session_id_is_read_from_header_or_query() -> None:
    assert session_id_of({SESSION_HEADER: "one"}, "a=b") == "one"
    assert session_id_of({}, f"a=b&{SESSION_HEADER.lower()}=two") == "two"
    assert session_id_of({}, "a=b") is None
    both = session_id_of({SESSION_HEADER: "unsigned"}, f"{SESSION_HEADER}=signed")
    assert both == "signed"


@pytest.mark.parametrize(
    ("target", "session_id", "headers", "query", "words"),
    [
        (RequestTarget("ws", ARN, "DEFAULT", False), None, {}, "", "not percent-encoded"),
        (PLAIN, "s" * 40, {SESSION_HEADER: "s" * 40}, "X-Amz-Signature=1", "beside a presigned"),
        (PLAIN, "s" * 101, {}, "", "101 characters"),
        (PLAIN, "s" * 100, {SESSION_HEADER: "s" * 100}, "", None),
        (PLAIN, "s" * 40, {}, f"X-Amz-Signature=1&{SESSION_HEADER}={'s' * 40}", None),
    ],
)
def test_requests_that_aws_may_refuse_are_known(
    target: RequestTarget,
    session_id: str | None,
    headers: dict[str, str],
    query: str,
    words: str | None,
) -> None:
    found = [error.message for error in strict_refusals(target, session_id, headers, query)]
    assert len(found) == (0 if words is None else 1)
    assert words is None or words in found[0]


def test_agent_sees_only_allowed_headers() -> None:
    sent = {
        "Host": "x",
        "Authorization": "AWS4-HMAC-SHA256 secret",
        "Cookie": "a=b",
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "traceparent": "00-1",
        "X-Colour": "red",
        "X-Shape": "round",
        f"{CUSTOM}Tenant": "from the header",
    }
    query = f"{CUSTOM}Tenant=from+the+query&{CUSTOM}Plan=gold&{CUSTOM}Secret=no&other=1"
    allowed = check_allowlist(["X-Colour", f"{CUSTOM}Tenant", f"{CUSTOM}Plan"])
    assert agent_headers(sent, query, allowed, "session", "request") == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "traceparent": "00-1",
        "x-colour": "red",
        f"{CUSTOM}Tenant".lower(): "from the header",
        f"{CUSTOM}Plan".lower(): "gold",
        SESSION_HEADER: "session",
        REQUEST_HEADER: "request",
    }


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("X-Colour", 4096),
        ("traceparent", 128),
        ("tracestate", 512),
        ("baggage", 8192),
        ("X-Amzn-Trace-Id", 128),
        ("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", 1024),
    ],
)
def test_headers_above_the_limit_are_refused(name: str, limit: int) -> None:
    def headers(size: int) -> dict[str, str] | ApiError:
        return agent_headers({name: "x" * size}, "", ("x-colour",), "s", "r")

    assert isinstance(headers(limit), dict)
    assert isinstance(headers(limit + 1), ApiError)


def test_header_that_is_not_forwarded_has_no_limit() -> None:
    headers = agent_headers({"X-Not-Forwarded": "x" * 9000}, "", ("x-colour",), "s", "r")
    assert isinstance(headers, dict)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["Authorization", "X-Any", f"{CUSTOM}A"], None),
        (["Cookie", "X-Forwarded-For", "X-Fine"], "cookie, x-forwarded-for"),
        (["X-Amz-Date"], "x-amz-date"),
        (["X-Amzn-Trace-Id"], "x-amzn-trace-id"),
        ([f"X-{number}" for number in range(20)], None),
        ([f"X-{number}" for number in range(21)], "21 names"),
    ],
)
def test_allowlist_with_forbidden_names_is_refused(names: list[str], words: str | None) -> None:
    if words is None:
        assert check_allowlist(names) == tuple(name.lower() for name in names)
    else:
        with pytest.raises(BadAllowlist, match=words):
            check_allowlist(names)


def test_allowlist_refuses_the_headers_that_the_sdk_refuses() -> None:
    with pytest.raises(BadAllowlist) as refused:
        check_allowlist([name.title() for name in sorted(RESTRICTED_HEADERS)])
    for name in RESTRICTED_HEADERS:
        assert f" {name}," in refused.value.message.replace(".", ",")


def test_empty_parameter_is_not_a_missing_one() -> None:
    target = parse_target("GET", f"/runtimes/{quote(ARN, safe='')}/ws", "qualifier=", "0" * 12)
    assert isinstance(target, RequestTarget) and target.qualifier == ""
    headers = agent_headers({}, f"{CUSTOM}Plan=", (f"{CUSTOM}plan".lower(),), "s", "r")
    assert isinstance(headers, dict) and headers[f"{CUSTOM}plan".lower()] == ""
