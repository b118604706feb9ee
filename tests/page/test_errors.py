"""Error messages of the page: what failed, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Playwright, Route, expect

from tests.page.conftest import ALLOW_MICROPHONE, FAKE_MICROPHONE, chromium, watched
from tests.page.site import Site
from tests.standins.page_agent import SESSION

Response = Callable[[Route], None]


def response(status: int, code: str = "", message: str = "", **headers: str) -> Response:
    body = {"error": {"code": code, "message": message}}
    return lambda route: route.fulfill(status=status, headers=headers, json=body)


def call(page: Page, site: Site, start: Response) -> None:
    """Open the page and start a call; `start` is the response to POST /start."""
    page.route("**/start", start)
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").click()


@pytest.mark.parametrize(
    ("start", "title", "advice"),
    [
        (
            response(403, "forbidden", "It is for listeners."),
            "This call is not allowed",
            "for listeners.",
        ),
        (response(500), "The server refused the call", "report this to the operator: 500"),
        (response(502, "aws_refused", "AWS refused"), "The server refused", "AWS refused."),
        (
            response(503, "no_turn", "There is no relay"),
            "The server cannot take calls",
            "no relay.",
        ),
        (
            lambda route: route.abort(),
            "The server does not answer",
            "Check your internet connection",
        ),
    ],
    ids=["403", "500", "502", "503", "no answer"],
)
def test_page_says_why_the_call_did_not_start(
    page: Page, site: Site, start: Response, title: str, advice: str
) -> None:
    call(page, site, start)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(title)
    expect(alert).to_contain_text(advice)


def test_server_that_was_away_is_asked_again(page: Page, site: Site) -> None:
    page.route("**/config", lambda route: route.abort())
    page.goto(site.invitation)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    page.unroute("**/config")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Start the call")).to_be_visible()


def test_key_replaces_an_expired_invite(page: Page, site: Site) -> None:
    call(page, site, response(401, "unauthorized", "expired"))
    expect(page.get_by_role("alert")).to_contain_text("This invitation is not valid")
    page.get_by_label("Access key").fill("another")
    page.get_by_role("button", name="Continue").click()
    with page.expect_request("**/start") as request:
        page.get_by_role("button", name="Start the call").click()
    assert request.value.headers["authorization"] == "Bearer another"


def test_button_waits_after_too_many_calls(page: Page, site: Site) -> None:
    call(page, site, response(429, "rate_limited", "Slow down", **{"Retry-After": "2"}))
    expect(page.get_by_role("alert")).to_contain_text("Too many calls at once")
    button = page.get_by_role("button", name="Try again")
    expect(button).to_be_disabled()
    expect(button).to_be_enabled()


def test_page_reports_an_unavailable_agent(page: Page, site: Site) -> None:
    page.route("**/sessions/*", lambda route: route.fulfill(status=204))
    call(page, site, lambda route: route.fulfill(json=SESSION))
    expect(page.get_by_role("alert")).to_contain_text("The agent is not available")


def test_page_shows_the_error_of_a_refused_offer(page: Page, site: Site) -> None:
    session = {"sessionId": "s" * 36, "token": "t", "iceConfig": {"iceServers": []}}
    refused = response(422, "no_relay", "The agent cannot reach a TURN relay")
    page.route("**/sessions/*/api/offer", refused)
    page.route("**/sessions/*", lambda route: route.fulfill(status=204))
    page.route("**/start", lambda route: route.fulfill(json=session))
    page.goto(site.invitation)
    page.get_by_text("Settings").click()
    page.get_by_label("WebRTC").check()
    page.get_by_role("button", name="Start the call").click()
    expect(page.get_by_role("alert")).to_contain_text("The agent cannot reach a TURN relay.")


@pytest.mark.parametrize(
    ("flags", "title"),
    [
        ((FAKE_MICROPHONE, "--deny-permission-prompts"), "The microphone is blocked"),
        ((ALLOW_MICROPHONE,), "No microphone found"),
    ],
    ids=["blocked", "missing"],
)
def test_call_without_microphone(
    playwright: Playwright, site: Site, flags: tuple[str, ...], title: str
) -> None:
    no_sound_card = {**os.environ, "PULSE_SERVER": "unix:/nonexistent"}
    browser = chromium(playwright, *flags, env=no_sound_card)
    with watched(browser.new_page()) as page:
        page.route("**/sessions/*", lambda route: route.fulfill(status=204))
        call(page, site, lambda route: route.fulfill(json=SESSION))
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text(title)
        page.get_by_role("button", name="Join without a microphone").click()
        # The call gets as far as connecting to the agent.
        expect(alert).to_contain_text("The agent is not available")
    browser.close()


def test_address_does_not_show_the_invite(page: Page, site: Site) -> None:
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").wait_for()
    assert site.invite not in page.url
    page.reload()  # the tab keeps the invite
    expect(page.get_by_role("button", name="Start the call")).to_be_visible()


def test_page_without_invite_asks_for_a_key(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_label("Access key").fill("   ")
    page.keyboard.press("Enter")
    assert page.get_by_label("Access key").evaluate("field => field.validationMessage")
    page.get_by_label("Access key").fill("a key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Start the call")).to_be_visible()
