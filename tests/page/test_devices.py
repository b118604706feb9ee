"""Devices that change during a call, and sound that the browser interrupts."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.page.conftest import audible_chromium, watched
from tests.page.site import Site
from tests.standins.page_agent import SESSION, PageAgent
from tests.standins.soundcard import SINKS, SoundCard
from tests.standins.talk.session_server import tone

LAB = """
    window.lab = { contexts: [], tracks: [], gone: [], refuses: false };
    const Original = AudioContext;
    window.AudioContext = class extends Original {
        constructor(options) { super(options); lab.contexts.push(this); }
        resume() { return lab.refuses ? new Promise(() => {}) : super.resume(); }
    };
    const devices = navigator.mediaDevices;
    const list = devices.enumerateDevices.bind(devices);
    const open = devices.getUserMedia.bind(devices);
    const isThere = ({ label }) => !lab.gone.some((name) => label.includes(name));
    devices.enumerateDevices = async () => (await list()).filter(isThere);
    devices.getUserMedia = async (wanted) => {
        if (lab.gone.includes("Input")) throw new DOMException("none", "NotFoundError");
        const stream = await open(wanted);
        lab.tracks.push(...stream.getTracks());
        return stream;
    };
    lab.unplug = (...names) => {
        lab.gone = names;
        for (const track of lab.tracks)
            if (!isThere(track)) track.dispatchEvent(new Event("ended"));
        devices.dispatchEvent(new Event("devicechange"));
    };
"""
"""Lets a test unplug devices by their names, and interrupt the sound as Safari does."""
HEADSET_HZ = 16_000
TONE_HZ = 1000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")
    with watched(context.new_page()) as page:
        page.add_init_script(LAB)
        yield page
    context.close()


def call(page: Page, site: Site) -> PageAgent:
    agent = PageAgent(page)
    page.route("**/start", lambda route: route.fulfill(json=SESSION))
    page.route("**/sessions/*", lambda route: route.fulfill(status=204))
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").click()
    expect(page.get_by_role("status")).to_have_text("Connected")
    return agent


def expect_to_hear(page: Page, agent: PageAgent) -> None:
    """Wait until the agent hears the beeps of Chromium's microphone."""
    agent.heard.clear()
    while not any(np.abs(np.frombuffer(audio.pcm, np.int16)).max() > 1000 for audio in agent.heard):
        page.wait_for_timeout(20)


def test_unplugged_devices_are_replaced_by_the_default_ones(page: Page, site: Site) -> None:
    agent = call(page, site)
    notes = page.get_by_role("log").locator(".note")
    page.get_by_title("Settings").click()
    microphones, speakers = page.get_by_label("Microphone"), page.get_by_label("Speaker")
    microphones.select_option("Fake Audio Input 2")
    speakers.select_option("Fake Audio Output 2")
    expect_to_hear(page, agent)
    page.evaluate("lab.unplug('Input 2', 'Output 2')")
    expect(notes.get_by_text("The microphone is gone. Using the default one.")).to_be_visible()
    expect(notes.get_by_text("The speaker is gone. Using the default one.")).to_be_visible()
    expect(microphones).to_have_value("")
    expect(speakers).to_have_value("")
    assert page.evaluate("lab.contexts[0].sinkId") == ""
    expect_to_hear(page, agent)


def test_call_continues_without_a_microphone_until_there_is_one(page: Page, site: Site) -> None:
    agent = call(page, site)
    page.evaluate("lab.unplug('Input')")
    expect(page.get_by_role("alert")).to_contain_text("No microphone found")
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-disabled", "true")
    page.evaluate("lab.unplug()")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect_to_hear(page, agent)


def test_interrupted_sound_resumes_or_asks_for_a_click(page: Page, site: Site) -> None:
    agent = call(page, site)
    page.evaluate("lab.contexts[0].suspend()")
    expect_to_hear(page, agent)
    page.evaluate("lab.refuses = true; lab.contexts[0].suspend()")
    expect(page.get_by_role("alert")).to_contain_text("The browser has paused the sound.")
    page.evaluate("lab.refuses = false")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect_to_hear(page, agent)


def test_headset_at_16_khz(playwright: Playwright, site: Site, tmp_path: Path) -> None:
    """The page takes the device's rate, as that of a Bluetooth headset while it records."""
    config = tmp_path / ".config/pulse/daemon.conf"
    config.parent.mkdir(parents=True)
    config.write_text(f"default-sample-rate = {HEADSET_HZ}\n")
    heard = tmp_path / "heard.wav"
    with SoundCard.plugged_in(tmp_path, SINKS.replace("rate=48000", f"rate={HEADSET_HZ}")) as card:
        browser = audible_chromium(playwright, card)
        page = browser.new_page()
        page.add_init_script(LAB)
        agent = call(page, site)
        assert page.evaluate("lab.contexts[0].sampleRate") == HEADSET_HZ
        with card.listen(heard):
            agent.play(tone(1000, TONE_HZ, 24_000), 24_000)
            card.wait_until_loud(heard)
            page.wait_for_timeout(500)
        agent.heard.clear()
        wav(tmp_path / "tone.wav", tone(1000, TONE_HZ, HEADSET_HZ))
        card.speak(tmp_path / "tone.wav").wait()
        page.wait_for_timeout(200)
        browser.close()
    with wave.open(str(heard)) as file:
        played = file.readframes(file.getnframes())
    assert pitch(played, 48_000) == pytest.approx(TONE_HZ, rel=0.02)
    sent = b"".join(audio.pcm for audio in agent.heard)
    assert pitch(sent, agent.heard[0].rate) == pytest.approx(TONE_HZ, rel=0.02)


def wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(HEADSET_HZ)
        file.writeframes(pcm)


def pitch(pcm: bytes, rate: int) -> float:
    """Return the strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, np.int16)))
    return float(spectrum[1:].argmax() + 1) * rate / (2 * (len(spectrum) - 1))
