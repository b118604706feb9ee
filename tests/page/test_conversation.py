"""Spoken conversations: a sound card, Chromium, the page, the server, the runtime, the agent."""

from __future__ import annotations

import os
import re
import signal
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, Request, Route, WebSocketRoute, expect

from tests.e2e.conversation.conftest import SAMPLES
from tests.page.conftest import LENT, PATIENCE_MS, accessible, chromium, watched
from tests.page.site import Site, answered, made
from tests.processes import processes_in
from tests.standins.soundcard import SoundCard

QUESTION = SAMPLES / "twelve-times-seven.wav"
GREETING = "rule-based"
A_LONG_STORY = "one day a man went for a walk in the hills. " * 8


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Site]:
    with answered(project) as site:
        yield site


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundCard]:
    with SoundCard.plugged_in(tmp_path_factory.mktemp("card")) as card:
        yield card


@pytest.fixture(scope="module")
def browser(playwright: Playwright, card: SoundCard) -> Iterator[Browser]:
    """With the sound card's microphone and speaker."""
    browser = chromium(playwright, LENT, env=card.env, ignore_default_args=["--mute-audio"])
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")  # half of Chromium's work is the ribbon
    with watched(context.new_page()) as page:
        yield page
    context.close()


def test_over_websocket(
    page: Page, site: Site, card: SoundCard, project: Path, tmp_path: Path
) -> None:
    """Spoken words are answered, also while the socket is lost, and when they interrupt."""
    sockets: list[WebSocketRoute] = []

    def between(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket(re.compile("/ws"), between)
    wear_a_headset(page)
    page.goto(site.invitation)
    with card.listen(tmp_path / "heard.wav"):
        start(page)
        asks(page, card)
        types(page, "My name is Ada.")
        agent_says(page, "Nice to meet you, Ada.")
        asks_while_it_is_lost(page, card, sockets)
        # Over WebRTC, messages may come too late on a busy machine to tell.
        waited = page.get_by_role("log").locator(".agent summary").first
        expect(waited).to_have_text(re.compile(r"\d\.\d\d s"))

        types(page, f"Repeat after me: {A_LONG_STORY}")
        page.locator(".side.speaking", has_text="Agent").wait_for()
        card.speak(QUESTION).wait()
        expect(page.get_by_role("log").locator(".agent .cut")).to_be_visible()
    assert speech_seconds(tmp_path / "heard.wav") > 6

    before = hung_up(project)
    page.goto("about:blank")  # whoever leaves hangs up
    while hung_up(project) == before:
        page.wait_for_timeout(50)


def test_over_webrtc(
    page: Page, site: Site, card: SoundCard, project: Path, tmp_path: Path
) -> None:
    """Spoken and typed words are answered, also after the path was lost; keys mute and hang up."""
    shown = set[str]()
    page.on("request", lambda asked: shown.update(shows_invite(asked)))
    page.goto(site.invitation)
    page.get_by_text("Settings").click()
    page.get_by_label("WebRTC").check()
    log = page.get_by_role("log")
    with card.listen(tmp_path / "heard.wav"):
        start(page)
        accessible(page)
        asks(page, card)
        expect(log.locator(".you").last).to_have_text("YouWhat is 12 times 7?")
        expect(page.locator(".path")).to_have_text("WebRTC, direct, udp")
        with lost(project):
            expect(page.get_by_role("status")).to_have_text("Connection lost. Reconnecting…")
        expect(page.get_by_role("status")).to_have_text("Connected")

        page.get_by_role("region", name="Transcript").focus()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
        said = log.locator(".you").count()
        card.speak(QUESTION).wait()  # is not heard
        page.keyboard.press("Space")
        types(page, "What is 6 times 7?")
        agent_says(page, "That is 42.")
        expect(log.locator(".you")).to_have_count(said + 1)
    assert speech_seconds(tmp_path / "heard.wav") > 4

    page.keyboard.press("Escape")  # leaves the line
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as ended:
        page.keyboard.press("Escape")
    assert ended.value.status == 204
    expect(page.get_by_role("status")).to_have_text("Call ended")
    expect(page.get_by_role("button", name="Call again")).to_be_focused()
    accessible(page)
    assert shown == {"/start"}


def hung_up(project: Path) -> int:
    """How many sessions the server has ended so far."""
    log = next((project / ".voicecore").rglob("server.log"))
    return log.read_text().count('"session_stopped"')


def wear_a_headset(page: Page) -> None:
    """No echo to cancel. In a room without any, Chromium takes who interrupts for one."""
    page.add_init_script("""
        const lend = navigator.mediaDevices?.getUserMedia;
        if (lend) navigator.mediaDevices.getUserMedia = ({ audio }) =>
            lend.call(navigator.mediaDevices, { audio: { ...audio, echoCancellation: false } });
    """)


def start(page: Page) -> None:
    page.get_by_role("button", name="Start the call").click()
    agent_says(page, GREETING)


def asks(page: Page, card: SoundCard) -> None:
    """A question is spoken and answered; by who has to, again: a busy machine drops words."""
    answer = page.get_by_role("log").locator(".agent", has_text="That is 84.")
    for patience in (20_000, 20_000, PATIENCE_MS):
        card.speak(QUESTION).wait()
        with suppress(AssertionError):
            return expect(answer).to_be_visible(timeout=patience)
    pytest.fail(page.get_by_role("log").inner_text())


def asks_while_it_is_lost(page: Page, card: SoundCard, sockets: list[WebSocketRoute]) -> None:
    """What is said meanwhile is answered, in the session that was; again as in `asks`."""

    def answer_later(route: Route) -> None:
        assert "sessionId" in route.request.post_data_json
        card.speak(SAMPLES / "what-is-my-name.wav").wait()
        route.continue_()

    name = page.get_by_role("log").locator(".agent", has_text="Your name is Ada.")
    for patience in (20_000, 20_000, PATIENCE_MS):
        page.route("**/start", answer_later, times=1)
        sockets[-1].close(code=1011)
        with suppress(AssertionError):
            return expect(name).to_be_visible(timeout=patience)
    pytest.fail(page.get_by_role("log").inner_text())


def agent_says(page: Page, text: str) -> None:
    expect(page.get_by_role("log").locator(".agent", has_text=text)).to_be_visible()


@contextmanager
def lost(project: Path) -> Iterator[None]:
    """The agent sends nothing, as if the path to it were gone."""
    agents = [int(line.split()[0]) for line in processes_in(project / "agent")]
    try:
        for agent in agents:
            os.kill(agent, signal.SIGSTOP)
        yield
    finally:
        for agent in agents:
            os.kill(agent, signal.SIGCONT)


def shows_invite(asked: Request) -> list[str]:
    return [urlparse(asked.url).path] if "authorization" in asked.headers else []


def types(page: Page, text: str) -> None:
    line = page.get_by_label("Type instead")
    line.fill(text)
    line.press("Enter")


def speech_seconds(recording: Path) -> float:
    """How long somebody speaks: the 20 ms stretches that are not quiet."""
    with wave.open(str(recording)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        step = file.getframerate() // 50
    stretches = samples[: len(samples) // step * step].reshape(-1, step).astype(float)
    return float((np.abs(stretches).max(axis=1) > 500).sum()) * 0.02
