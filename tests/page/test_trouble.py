"""Bad days, as the page tells of them: what happened, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Playwright, Route, expect

from tests.page.conftest import INVENTED, LENT, chromium, watched
from tests.page.site import Site

Answer = Callable[[Route], None]


def answering(status: int, code: str = "", message: str = "", **headers: str) -> Answer:
    body = {"error": {"code": code, "message": message}}
    return lambda route: route.fulfill(status=status, headers=headers, json=body)


def call(page: Page, site: Site, answer: Answer | None = None) -> None:
    """Open the page and press the button; `answer` is what POST /start gets."""
    if answer:
        page.route("**/start", answer)
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").click()


@pytest.mark.parametrize(
    ("answer", "title", "advice"),
    [
        (answering(403, "forbidden", "It is for listeners."), "You may not", "for listeners."),
        (answering(500), "The server refused the call", "tell who runs it: 500"),
        (answering(502, "aws_refused", "AWS refused"), "The server refused", "AWS refused."),
        (answering(503, "no_turn", "There is no relay"), "No calls can be taken", "no relay."),
        (lambda route: route.abort(), "The server does not answer", "Check your connection"),
    ],
    ids=["403", "500", "502", "503", "no answer"],
)
def test_no_session(page: Page, site: Site, answer: Answer, title: str, advice: str) -> None:
    call(page, site, answer)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(title)
    expect(alert).to_contain_text(advice)


def test_an_invite_that_has_expired_is_replaced_by_a_key(page: Page, site: Site) -> None:
    call(page, site, answering(401, "unauthorized", "expired"))
    expect(page.get_by_role("alert")).to_contain_text("This invitation is not valid")
    page.get_by_label("Access key").fill("another")
    page.get_by_role("button", name="Continue").click()
    with page.expect_request("**/start") as request:
        page.get_by_role("button", name="Start the call").click()
    assert request.value.headers["authorization"] == "Bearer another"


def test_too_many_calls_are_waited_for(page: Page, site: Site) -> None:
    call(page, site, answering(429, "rate_limited", "Slow down", **{"Retry-After": "2"}))
    expect(page.get_by_role("alert")).to_contain_text("Too many calls at once")
    button = page.get_by_role("button", name="Call again")
    expect(button).to_be_disabled()
    expect(button).to_be_enabled()


def test_an_agent_that_is_not_there(page: Page, site: Site) -> None:
    session = {"sessionId": "s" * 36, "token": "t", "wsUrl": "ws://127.0.0.1:1/ws"}
    page.route("**/sessions/*", lambda route: route.fulfill(status=204))
    call(page, site, lambda route: route.fulfill(json=session))
    expect(page.get_by_role("alert")).to_contain_text("The agent is not there")


def test_a_relay_that_the_agent_lacks(page: Page, site: Site) -> None:
    session = {"sessionId": "s" * 36, "token": "t", "iceConfig": {"iceServers": []}}
    refused = answering(422, "no_relay", "The agent reaches no TURN relay")
    page.route("**/sessions/*/api/offer", refused)
    page.route("**/sessions/*", lambda route: route.fulfill(status=204))
    page.route("**/start", lambda route: route.fulfill(json=session))
    page.goto(site.invitation)
    page.get_by_text("Settings").click()
    page.get_by_label("WebRTC").check()
    page.get_by_role("button", name="Start the call").click()
    expect(page.get_by_role("alert")).to_contain_text("The agent reaches no TURN relay.")


@pytest.mark.parametrize(
    ("flags", "title"),
    [
        ((INVENTED, "--deny-permission-prompts"), "The microphone is blocked"),
        ((LENT,), "There is no microphone"),
    ],
    ids=["blocked", "missing"],
)
def test_no_microphone(
    playwright: Playwright, site: Site, flags: tuple[str, ...], title: str
) -> None:
    no_card = {**os.environ, "PULSE_SERVER": "unix:/nonexistent"}
    browser = chromium(playwright, *flags, env=no_card)
    session = {"sessionId": "s" * 36, "token": "t", "wsUrl": "ws://127.0.0.1:1/ws"}
    with watched(browser.new_page()) as page:
        page.route("**/sessions/*", lambda route: route.fulfill(status=204))
        call(page, site, lambda route: route.fulfill(json=session))
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text(title)
        page.get_by_role("button", name="Join without a microphone").click()
        expect(alert).to_contain_text("The agent is not there")  # as far as it gets here
    browser.close()


def test_the_invite_is_not_to_be_seen(page: Page, site: Site) -> None:
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").wait_for()
    assert site.invite not in page.url
    page.reload()  # the tab remembers it
    expect(page.get_by_role("button", name="Start the call")).to_be_visible()


def test_without_an_invite_a_key_is_asked_for(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_label("Access key").fill("a key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Start the call")).to_be_visible()
