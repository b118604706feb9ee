"""Spoken conversations from a sound card through Chromium and the server to the agent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    Playwright,
    Request,
    Route,
    WebSocketRoute,
    expect,
)

from tests.e2e.conversation.conftest import SAMPLES
from tests.page import pipecat_clients
from tests.page.conftest import (
    TIMEOUT_MS,
    assert_accessible,
    audible_chromium,
    watched,
)
from tests.page.site import Site, create_project, dev_site, key_of
from tests.ports import free_port
from tests.processes import processes_in
from tests.standins.soundcard import SoundCard
from voicecore.talk.transports import pipecat_frames, rtvi

QUESTION = SAMPLES / "twelve-times-seven.wav"
GREETING = "rule-based"
LONG_STORY = "one day a man went for a walk in the hills. " * 8


@pytest.fixture(scope="module")
def shop_url() -> str:
    return f"http://localhost:{free_port()}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shop_url: str) -> Path:
    project = create_project(tmp_path_factory.mktemp("page"))
    with (project / "server/.env").open("a") as settings:
        settings.write(f"\nALLOWED_ORIGINS={pipecat_clients.ORIGIN},{shop_url}\n")
    return project


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Site]:
    with dev_site(project) as site:
        yield site


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundCard]:
    with SoundCard.plugged_in(tmp_path_factory.mktemp("card")) as card:
        yield card


@pytest.fixture(scope="module")
def browser(playwright: Playwright, card: SoundCard) -> Iterator[Browser]:
    """Chromium with the sound card's microphone and speaker."""
    browser = audible_chromium(playwright, card)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    # The animated waveform is half of Chromium's CPU load.
    context = browser.new_context(reduced_motion="reduce")
    with watched(context.new_page()) as page:
        yield page
    context.close()


def test_call_over_websocket(
    page: Page, site: Site, card: SoundCard, project: Path, tmp_path: Path
) -> None:
    """The agent answers speech, speech during a lost connection, and an interruption."""
    sockets: list[WebSocketRoute] = []

    def record(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket(re.compile("/ws"), record)
    disable_echo_cancellation(page)
    page.goto(site.invitation)
    with card.listen(tmp_path / "heard.wav"):
        start_call(page)
        ask(page, card)
        expect_sounds_to_be_told(page, sockets[-1])
        type_text(page, "My name is Ada.")
        expect_agent_says(page, "Nice to meet you, Ada.")
        ask_while_disconnected(page, card, sockets)
        # Not tested over WebRTC: on a busy machine the latency message may come too late.
        latency = page.get_by_role("log").locator(".agent summary").first
        expect(latency).to_have_text(re.compile(r"\d\.\d\d s"))
        expect_end_in_view_at_every_size(page)
        page.get_by_title("Settings").click()
        page.get_by_label("Show tool calls and latency").uncheck()
        expect(page.locator(".latency")).to_have_count(0)
        page.get_by_title("Settings").click()

        type_text(page, f"Repeat after me: {LONG_STORY}")
        page.locator(".side.speaking", has_text="Agent").wait_for()
        card.speak(QUESTION).wait()
        expect(page.get_by_role("log").locator(".agent .cut")).to_be_visible()
    assert speech_seconds(tmp_path / "heard.wav") > 6

    before = stopped_sessions(project)
    page.goto("about:blank")  # leaving the page hangs up
    while stopped_sessions(project) == before:
        page.wait_for_timeout(50)


def expect_end_in_view_at_every_size(page: Page) -> None:
    """A window that is resized, or a phone that is turned, still shows the last lines."""
    size = page.viewport_size
    assert size
    for width, height in ((320, 568), (667, 375), (768, 1024)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(
            "() => { const view = document.querySelector('.transcript');"
            " return view.scrollHeight - view.scrollTop - view.clientHeight < 2 }"
        )
        lines = "view => view.clientHeight / parseFloat(getComputedStyle(view).lineHeight)"
        assert page.locator(".transcript").evaluate(lines) >= 5
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The text field shows its placeholder.
        assert page.get_by_label("Type instead of speaking").evaluate("e => e.clientWidth") > 150
    page.set_viewport_size(size)


def test_call_over_webrtc(
    page: Page, site: Site, card: SoundCard, project: Path, tmp_path: Path
) -> None:
    """The agent answers speech and text, also after a lost path; keys mute and hang up."""
    paths_with_invite = set[str]()
    page.on("request", lambda request: paths_with_invite.update(path_with_invite(request)))
    page.goto(site.invitation)
    page.get_by_text("Settings").click()
    page.get_by_label("WebRTC").check()
    log = page.get_by_role("log")
    with card.listen(tmp_path / "heard.wav"):
        start_call(page)
        assert_accessible(page)
        ask(page, card)
        expect(log.locator(".you").last).to_have_text("YouWhat is 12 times 7?")
        expect(page.locator(".path")).to_have_text("WebRTC, direct, udp")
        with agent_paused(project):
            expect(page.get_by_role("status")).to_have_text("Connection lost. Reconnecting…")
        expect(page.get_by_role("status")).to_have_text("Connected")

        page.get_by_role("region", name="Transcript").focus()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
        lines = log.locator(".you").count()
        card.speak(QUESTION).wait()  # muted: the agent must not hear it
        page.keyboard.press("Space")
        type_text(page, "What is 6 times 7?")
        expect_agent_says(page, "That is 42.")
        expect(log.locator(".you")).to_have_count(lines + 1)
    assert speech_seconds(tmp_path / "heard.wav") > 4

    page.keyboard.press("Escape")  # leaves the text field
    with page.expect_response(lambda response: response.request.method == "DELETE") as ended:
        page.keyboard.press("Escape")
    assert ended.value.status == 204
    expect(page.get_by_role("status")).to_have_text("Call ended")
    expect(page.get_by_role("button", name="Call again")).to_be_focused()
    assert_accessible(page)
    assert paths_with_invite == {"/start"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipecat_clients.installed(tmp_path_factory.mktemp("clients"))


@pytest.mark.parametrize(
    "titles",
    [("index.html", "main.js"), ("react/index.html", "react/useCall.jsx", "react/main.jsx")],
    ids=["js", "react"],
)
def test_pipecats_own_clients_hold_a_conversation(
    browser: Browser, site: Site, card: SoundCard, packages: Path, titles: tuple[str, ...]
) -> None:
    """The clients of the docs, unmodified, with an invite and from another origin."""
    # Chromium asks the user before a page may reach this machine.
    allowed = ["microphone", "local-network-access"]
    page = browser.new_context(permissions=allowed).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    pipecat_clients.serve(page, pipecat_clients.built(packages, site.url, *titles))
    page.goto(f"{pipecat_clients.ORIGIN}/#{site.invite}")
    page.get_by_role("button", name="Call").click()
    transcript = page.get_by_role("list")
    expect(transcript).to_contain_text(GREETING)
    answered(card, transcript)
    page.get_by_role("button", name="Hang up").click()
    page.context.close()


@contextmanager
def shop(folder: Path, url: str, site: Site, project: Path) -> Iterator[None]:
    """Run the site of the docs, whose visitors talk to the agent."""
    for name in ("index.html", "shop.py"):
        text = pipecat_clients.code(f"shop/{name}").replace("https://your-server", site.url)
        (folder / name).write_text(text)
    env = {"VOICE_SERVER": site.url, "SESSION_API_KEY": key_of(project), "PORT": url[-5:]}
    process = subprocess.Popen(
        [sys.executable, "-u", "shop.py"], cwd=folder, env=os.environ | env, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout and process.stdout.readline(), "the shop ended"
        yield
    finally:
        process.terminate()
        process.wait(60)


def test_visitor_of_another_site_talks_to_the_agent(
    page: Page, site: Site, card: SoundCard, project: Path, shop_url: str, tmp_path: Path
) -> None:
    """The site's own server has the key; the page has none, and the agent hears and is heard."""
    page.context.grant_permissions(["microphone", "local-network-access"])
    sent: list[str] = []
    page.on("request", lambda request: sent.append(str(request.headers) + request.url))
    with shop(tmp_path, shop_url, site, project), card.listen(tmp_path / "heard.wav"):
        page.goto(shop_url)
        page.get_by_role("button", name="Talk to us").click()
        expect_agent_says(page, GREETING)
        ask(page, card)
        before = stopped_sessions(project)
        page.goto("about:blank")  # leaving the page hangs up
        while stopped_sessions(project) == before:
            page.wait_for_timeout(50)
    assert speech_seconds(tmp_path / "heard.wav") > 2
    assert not any(key_of(project) in request or "invite." in request for request in sent)


def test_dev_serves_an_example_of_an_embedded_call(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/embed")
    page.get_by_role("button", name="Talk to us").click()
    expect(page.get_by_role("listitem")).to_contain_text('voice-error {"code":"setup"')


def test_pipecats_python_client_holds_a_conversation(
    site: Site, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "client.py").write_text(pipecat_clients.code("client.py"))
    done = subprocess.run(
        [project / "agent/.venv/bin/python", "client.py", site.url, QUESTION],
        cwd=tmp_path, env=os.environ | {"SESSION_API_KEY": key_of(project)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "you: What is 12 times 7?" in done.stdout, done.stderr[-3000:]
    assert "agent: That is 84." in done.stdout


def stopped_sessions(project: Path) -> int:
    """Return the number of sessions that the server has stopped."""
    log = next((project / ".voicecore").rglob("server.log"))
    return log.read_text().count('"session_stopped"')


def disable_echo_cancellation(page: Page) -> None:
    """Disable it, because in a room without echo Chromium suppresses a user who interrupts."""
    page.add_init_script("""
        const original = navigator.mediaDevices?.getUserMedia;
        if (original) navigator.mediaDevices.getUserMedia = ({ audio }) =>
            original.call(navigator.mediaDevices, { audio: { ...audio, echoCancellation: false } });
    """)


def start_call(page: Page) -> None:
    page.get_by_role("button", name="Start the call").click()
    expect_agent_says(page, GREETING)


def ask(page: Page, card: SoundCard) -> None:
    """Speak a question until the page shows the answer."""
    answered(card, page.get_by_role("log"))


def answered(card: SoundCard, transcript: Locator) -> None:
    """Speak a question until it is answered: on a busy machine the recognizer drops words."""
    for timeout in (20_000, 20_000, TIMEOUT_MS):
        card.speak(QUESTION).wait()
        with suppress(AssertionError):
            return expect(transcript).to_contain_text("That is 84.", timeout=timeout)
    pytest.fail(transcript.inner_text())


def ask_while_disconnected(page: Page, card: SoundCard, sockets: list[WebSocketRoute]) -> None:
    """Speak during a lost connection until the same session answers, as in `ask`."""

    def speak_before_resuming(route: Route) -> None:
        assert "sessionId" in (route.request.post_data_json or {})
        card.speak(SAMPLES / "what-is-my-name.wav").wait()
        route.continue_()

    name = page.get_by_role("log").locator(".agent", has_text="Your name is Ada.")
    for timeout in (20_000, 20_000, TIMEOUT_MS):
        page.route("**/start", speak_before_resuming, times=1)
        sockets[-1].close(code=1011)
        with suppress(AssertionError):
            return expect(name).to_be_visible(timeout=timeout)
    pytest.fail(page.get_by_role("log").inner_text())


def expect_sounds_to_be_told(page: Page, socket: WebSocketRoute) -> None:
    """Tell the page of two sounds as the agent does: only the one that was not heard is shown."""
    for outcome, text in (("heard", "heard 1 s"), ("too_quiet", "too quiet: speak louder")):
        data = {"type": "sound", "outcome": outcome, "message": text}
        body = {"label": rtvi.LABEL, "type": "server-message", "data": data}
        socket.send(pipecat_frames.encode(pipecat_frames.Message(body)))
    log = page.get_by_role("log")
    expect(log.locator(".note", has_text="too quiet: speak louder")).to_be_visible()
    expect(log.get_by_text("heard 1 s")).to_have_count(0)


def expect_agent_says(page: Page, text: str) -> None:
    expect(page.get_by_role("log").locator(".agent", has_text=text)).to_be_visible()


@contextmanager
def agent_paused(project: Path) -> Iterator[None]:
    """Pause the agent, so that it sends nothing, as after a lost path."""
    agents = [int(line.split()[0]) for line in processes_in(project / "agent")]
    try:
        for agent in agents:
            os.kill(agent, signal.SIGSTOP)
        yield
    finally:
        for agent in agents:
            os.kill(agent, signal.SIGCONT)


def path_with_invite(request: Request) -> list[str]:
    return [urlparse(request.url).path] if "authorization" in request.headers else []


def type_text(page: Page, text: str) -> None:
    field = page.get_by_label("Type instead")
    field.fill(text)
    field.press("Enter")


def speech_seconds(recording: Path) -> float:
    """Return the length of speech: the 20 ms windows that are not quiet."""
    with wave.open(str(recording)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        step = file.getframerate() // 50
    windows = samples[: len(samples) // step * step].reshape(-1, step).astype(float)
    return float((np.abs(windows).max(axis=1) > 500).sum()) * 0.02
