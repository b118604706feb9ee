"""An agent that `voicecore dev` runs answers its gateway, and no other program or page."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from ..gateway_only import HEADER, VARIABLE
from .running_agent import RunningAgent, running

KEY = "the-key-of-this-agent"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """An agent with a key."""
    with running(tmp_path_factory.mktemp("agent") / "log", {VARIABLE: KEY}) as agent:
        yield agent


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {HEADER: KEY}),
        (403, {}),
        (403, {HEADER: ""}),
        (403, {HEADER: KEY[:-1]}),
        (403, {HEADER: KEY, "Origin": "https://page.example"}),
    ],
)
@pytest.mark.parametrize(("path", "body"), [("ping", None), ("invocations", b"{}")])
def test_only_the_gateway_is_answered(
    guarded: RunningAgent, path: str, body: bytes | None, status: int, headers: dict[str, str]
) -> None:
    url = f"http://127.0.0.1:{guarded.port}/{path}"
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == status
    except urllib.error.HTTPError as refused:
        assert refused.code == status
