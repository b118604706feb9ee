"""Chromium with the page, and checks that every test of the page makes."""

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

from tests.page.site import Site, create_project, dev_site, static_site
from tests.standins.soundcard import SoundCard

# A busy machine is slow; a test that passes never waits this long.
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)

KINDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


ALLOW_MICROPHONE = "--use-fake-ui-for-media-stream"
"""Chromium flag: grant the microphone without a prompt."""
FAKE_MICROPHONE = "--use-fake-device-for-media-stream"
"""Chromium flag: provide a microphone that beeps."""


def chromium(playwright: Playwright, *flags: str, **options: Any) -> Browser:
    """Start Debian's Chromium."""
    path = shutil.which("chromium")
    assert path, "chromium is missing: make lab"
    arguments = ["--disable-background-networking", *flags]
    return playwright.chromium.launch(executable_path=path, args=arguments, **options)


def audible_chromium(playwright: Playwright, card: SoundCard) -> Browser:
    """Start Chromium with the microphone and the speaker of a virtual sound card."""
    audible = {"env": card.env, "ignore_default_args": ["--mute-audio"]}
    return chromium(playwright, ALLOW_MICROPHONE, **audible)


@contextmanager
def browser_with_sound_card() -> Iterator[tuple[Browser, Site, SoundCard]]:
    """Start a browser with a virtual sound card, and a site whose agent answers."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        with (
            dev_site(create_project(folder)) as site,
            SoundCard.plugged_in(folder) as card,
            sync_playwright() as playwright,
        ):
            browser = audible_chromium(playwright, card)
            yield browser, site, card
            browser.close()


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = chromium(playwright, ALLOW_MICROPHONE, FAKE_MICROPHONE)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The page without a server."""
    with static_site() as site:
        yield site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    with watched(context.new_page()) as page:
        yield page
    context.close()


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """Fail the test on uncaught errors and on violations of the Content Security Policy."""
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            problems.append(message.text)

    page.set_default_timeout(TIMEOUT_MS)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", on_console)
    yield page
    assert problems == []


def assert_accessible(page: Page) -> None:
    """Check what the page shows now with axe-core."""
    options = {"runOnly": KINDS}
    found = Axe().run(page, options=options).response["violations"]
    assert not found, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found]
