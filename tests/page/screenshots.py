"""Take the pictures of the page in docs/ from a real conversation.

Run it with `python -m tests.page.screenshots`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.e2e.conversation.conftest import SAMPLES
from tests.page.conftest import browser_with_sound_card
from tests.page.site import Site
from tests.standins.soundcard import SoundCard

DOCS = Path(__file__).parents[2] / "docs"
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1000, "height": 700}},
    "dark": {"viewport": {"width": 1000, "height": 700}},
    "phone": {"viewport": {"width": 390, "height": 760}, "device_scale_factor": 2},
}
WARM_UP_MS = 15_000
"""Time in which the spare agent for the next call loads; it would slow this call down."""
TALK = (
    ("my-name-is-ada", "Ada"),
    ("open-on-sunday", "Sunday"),
    ("twelve-times-seven", "That is 84"),
)


def main() -> None:
    """Call the agent three times, and write docs/page-*.png."""
    with browser_with_sound_card() as (browser, site, card):
        for kind, screen in SCREENS.items():
            scheme = "light" if kind == "light" else "dark"
            context = browser.new_context(color_scheme=scheme, **screen)
            _call(context.new_page(), site, card, kind)
            context.close()


def _call(page: Page, site: Site, card: SoundCard, kind: str) -> None:
    page.set_default_timeout(60_000)
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").click()
    page.get_by_role("log").locator(".agent").wait_for()
    page.wait_for_timeout(WARM_UP_MS)
    for sample, answer in TALK:
        card.speak(SAMPLES / f"{sample}.wav").wait()
        page.locator(".agent", has_text=answer).wait_for()
        page.wait_for_timeout(2500)
    if kind != "phone":
        page.locator(".latency summary").last.click()
        page.mouse.move(0, 0)
    page.screenshot(path=DOCS / f"page-{kind}.png")
    page.keyboard.press("Escape")


if __name__ == "__main__":
    main()
