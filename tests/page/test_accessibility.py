"""The page is accessible: light and dark, large and small, to screen readers too."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.page.conftest import assert_accessible, watched
from tests.page.site import Site

DESKTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)])
def test_page_is_accessible_before_a_call(
    browser: Browser, site: Site, scheme: Literal["light", "dark"], size: ViewportSize
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport=size)
    with watched(context.new_page()) as page:
        page.goto(site.url)
        page.get_by_label("Access key").wait_for()
        assert_accessible(page)
        page.goto(site.invitation)
        page.get_by_text("Settings").click()
        assert_accessible(page)
        page.route("**/start", lambda route: route.fulfill(status=503))
        page.get_by_role("button", name="Start the call").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert_accessible(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == size["width"], "the page scrolls sideways"
    context.close()


@pytest.mark.parametrize(("width", "height"), [(320, 568), (568, 320), (667, 375), (720, 450)])
def test_call_starts_without_scrolling(
    browser: Browser, site: Site, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    with watched(context.new_page()) as page:
        page.goto(site.invitation)
        expect(page.get_by_role("button", name="Start the call")).to_be_in_viewport(ratio=1)
    context.close()


def test_buttons_have_borders_in_forced_colors(browser: Browser, site: Site) -> None:
    context = browser.new_context(forced_colors="active")
    with watched(context.new_page()) as page:
        page.goto(site.invitation)
        expect(page.get_by_role("button", name="Start the call")).to_have_css(
            "border-top-width", "1px"
        )
    context.close()
