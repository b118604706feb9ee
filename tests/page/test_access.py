"""The page for everyone: light and dark, large and small, with eyes or without."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.page.conftest import accessible, watched
from tests.page.site import Site

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)])
def test_before_a_call(browser: Browser, site: Site, scheme: str, size: dict[str, int]) -> None:
    context = browser.new_context(color_scheme=scheme, viewport=size)
    with watched(context.new_page()) as page:
        page.goto(site.url)
        page.get_by_label("Access key").wait_for()
        accessible(page)
        page.goto(site.invitation)
        page.get_by_text("Settings").click()
        accessible(page)
        page.route("**/start", lambda route: route.fulfill(status=503))
        page.get_by_role("button", name="Start the call").click()
        expect(page.get_by_role("alert")).to_be_visible()
        accessible(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == size["width"], "it scrolls sideways"
    context.close()
