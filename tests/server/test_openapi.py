"""Answers match the OpenAPI document, and unusual input does not crash the server."""

import http.client
import json
from contextlib import closing
from typing import cast
from urllib.parse import urlsplit

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.serving import AUTHORIZED, RunningServer

EXAMPLES = 20  # per operation
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
)
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_answers_match_the_openapi_document(shared: RunningServer) -> None:
    schema = schemathesis.openapi.from_url(f"{shared.url}/openapi.json")
    operations = 0
    for operation in schema.get_all_operations():
        operations += 1
        assert isinstance(operation, Ok)

        @QUICK
        @given(case=operation.ok().as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=AUTHORIZED, checks=CHECKS)

        ask()
    assert operations >= 8


WORDS = st.sampled_from(["v=0\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "a=candidate:", "\0"])
SDP = st.lists(st.one_of(WORDS, st.text(max_size=40)), max_size=30).map("".join)
LINE = st.one_of(st.none(), st.integers(), st.text(max_size=20))
CANDIDATES = st.lists(
    st.fixed_dictionaries(
        {"candidate": st.text(max_size=200)}, optional={"sdp_mid": LINE, "sdp_mline_index": LINE}
    ),
    max_size=20,
)


def test_random_offers_and_candidates_do_not_crash_the_server(shared: RunningServer) -> None:
    url = urlsplit(shared.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port)

    def send(method: str, path: str, headers: dict[str, str], body: object) -> tuple[int, bytes]:
        json_headers = headers | {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body), json_headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    status, started = send("POST", "/start", AUTHORIZED, {"transport": "webrtc"})
    assert status == 200
    session = json.loads(started)
    path = f"/sessions/{session['sessionId']}/api/offer"
    token = {"X-Session-Token": session["token"]}

    @QUICK
    @given(SDP, CANDIDATES)
    def fuzz(sdp: str, candidates: object) -> None:
        status, _ = send("POST", path, token, {"sdp": sdp, "type": "offer"})
        assert status == (200 if sdp.startswith("v=0") else 422)
        assert send("PATCH", path, token, {"pc_id": sdp[:99], "candidates": candidates})[0] in (
            200,
            422,
        )

    with closing(connection):
        fuzz()
    assert shared.process.poll() is None
