"""Chromium with the page in it, and what a person at it can see, hear and do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

from tests.page.site import Site, alone, answered, made
from tests.requirements import require
from tests.standins.soundcard import SoundCard

# A machine that does other things as well may take long; nothing waits longer than it must.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

KINDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


LENT = "--use-fake-ui-for-media-stream"
"""The user lends the microphone to whoever asks."""
INVENTED = "--use-fake-device-for-media-stream"
"""There is a microphone, which beeps."""


def chromium(playwright: Playwright, *flags: str, **options: Any) -> Browser:
    """Debian's browser."""
    require("chromium")
    arguments = ["--disable-background-networking", *flags]
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=arguments, **options
    )


@contextmanager
def answered_aloud() -> Iterator[tuple[Browser, Site, SoundCard]]:
    """A browser with a real sound card, and a page whose agent answers."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        with (
            answered(made(folder)) as site,
            SoundCard.plugged_in(folder) as card,
            sync_playwright() as playwright,
        ):
            loud = {"env": card.env, "ignore_default_args": ["--mute-audio"]}
            browser = chromium(playwright, LENT, **loud)
            yield browser, site, card
            browser.close()


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = chromium(playwright, LENT, INVENTED)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The page, with nothing behind it."""
    with alone() as site:
        yield site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    with watched(context.new_page()) as page:
        yield page
    context.close()


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """A page in which nothing fails that no user would see, and nothing is against its policy."""
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", hear)
    yield page
    assert wrong == []


def accessible(page: Page) -> None:
    """Everyone can use what is on the page now, as far as axe-core can tell."""
    options = {"runOnly": KINDS}
    found = Axe().run(page, options=options).response["violations"]
    assert not found, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found]
