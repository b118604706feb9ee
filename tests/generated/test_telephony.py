"""A telephony project with all five providers is typed, and its own tests pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.generated.projects import Kind, agent_tests_of, rendered, run, run_properties
from tests.generated.test_projects import pyright
from tests.standins.background import in_background
from tests.standins.inspecting_proxy import inspecting_proxy
from tests.standins.site import serving
from voicecore.console.network_env import completed
from voicecore.scaffold.render import write_new

KIND = Kind("telephony", "offline")
ONLINE = ("api.telnyx.com", "api.daily.co", "rtc.live.cloudflare.com", "api.twilio.com",
          "users.example", "dynamodb.us-east-1.amazonaws.com")  # fmt: skip
"""Services on the internet that servers ask."""


@pytest.fixture(scope="module")
def project(make: Callable[[Kind], Path]) -> Path:
    return make(KIND)


@pytest.mark.parametrize("part", ["agent", "server"])
def test_project_is_typed(project: Path, part: str) -> None:
    run(project, *pyright(project, part))


def test_tests_of_the_server_pass(project: Path) -> None:
    run(project, str(project / "server/.venv/bin/python"), "-m", "pytest", "-q", "server")


@pytest.mark.parametrize("part", ["agent", "server"])
def test_any_line_is_answered(project: Path, tmp_path: Path, part: str) -> None:
    run_properties(project / part, tmp_path, f"{part}_phone_properties", "phone_starts")


def test_tests_of_the_agent_pass(project: Path) -> None:
    python = str(project / "agent/.venv/bin/python")
    run(project, python, "-m", "pytest", "-q", *agent_tests_of(KIND))


def test_server_asks_all_services_through_a_proxy_that_inspects_tls(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new(rendered(Kind("webrtc+telephony+daily", "offline")), tmp_path / "all")

    async def respond(_: web.Request) -> web.Response:
        return web.json_response({"iceServers": [], "ice_servers": []})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    with (
        in_background(serving(app)) as site,
        inspecting_proxy(tmp_path, dict.fromkeys(ONLINE, site.url)) as proxy,
    ):
        given = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(proxy.authority)}
        for name, value in (given | completed(given)).items():  # as `voicecore dev` sets them
            monkeypatch.setenv(name, value)
        requests = Path(__file__).with_name("proxied_requests.py").read_text()
        run(tmp_path / "all/server", str(project / "server/.venv/bin/python"), "-c", requests)
    assert proxy.hosts == list(ONLINE)
