"""Measures the page in Chromium: its size, and the time from click to first audio."""

from __future__ import annotations

import gzip
import statistics

from playwright.sync_api import Browser

from tests.page.conftest import browser_with_sound_card
from tests.page.site import PAGE, Site

CALLS = 5
WARM_UP_MS = 8000
"""Time for the runtime to warm the next agent, which it starts when a call takes the last one."""
EMBEDDED = {"voice.js", "panel.js", "embed.html", "embed.js"}
"""Files of calls that are embedded in other pages."""
LATER = {"WebSocket": "webrtc.js", "WebRTC": "websocket.js"}
"""The script that is not loaded, by transport of the call."""
SINCE_CLICK = "performance.getEntriesByName('call to first sound').map(({duration}) => duration)"


def main() -> None:
    """Print the table for RESULTS.md."""
    print("| page, over | first load, kB compressed | click to first audio, s |")
    print("|---|---|---|")
    with browser_with_sound_card() as (browser, site, _):
        for transport in LATER:
            seconds = [_first_sound(browser, site, transport) for _ in range(CALLS)]
            weight = _compressed(without={LATER[transport], "licenses.md", *EMBEDDED})
            print(f"| {transport} | {weight} | {statistics.median(seconds):.2f} |")


def _first_sound(browser: Browser, site: Site, transport: str) -> float:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(site.invitation)
    page.get_by_text("Settings").click()
    page.get_by_label(transport).check()
    page.wait_for_timeout(WARM_UP_MS)
    page.get_by_role("button", name="Start the call").click()
    while not (heard := page.evaluate(SINCE_CLICK)):
        page.wait_for_timeout(50)
    (milliseconds,) = heard
    page.keyboard.press("Escape")
    context.close()
    return milliseconds / 1000


def _compressed(without: set[str]) -> int:
    files = (file.read_bytes() for file in PAGE.iterdir() if file.name not in without)
    return round(sum(len(gzip.compress(file)) for file in files) / 1000)


if __name__ == "__main__":
    main()
