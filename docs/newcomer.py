"""Makes the journeys of three newcomers, takes the pictures of the docs, and fails at a stumble.

`python -m docs.newcomer [JOURNEY…]` types the commands of the docs in a terminal of 80 columns and
talks to the page in Chromium. JOURNEY is page, deploy, phone or film. A stumble is a traceback, a
line that is cut, or a hint that leads nowhere. `film` records the README's first call. It takes
minutes, and needs what `make lab` installs.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.text import Text

from docs.recording import recorded_page, recorded_terminal
from tests.docs.stumbles import stumbles_on
from tests.page.conftest import audible_chromium
from tests.standins.aws import aws_standin
from tests.standins.image.registries import run_registries
from tests.standins.soundcard import SoundCard
from tests.standins.terminal import Terminal

ROOT = Path(__file__).parents[1]
WIDTH = 80
_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
QUESTIONS = {
    "what-time-is-it": "It is",
    "twelve-times-seven": "That is 84",
    "open-on-sunday": "On Sunday",
}
SCREENS: dict[str, dict[str, Any]] = {
    "dark": {"color_scheme": "dark", "viewport": {"width": 1000, "height": 700}},
    "phone": {
        "color_scheme": "dark",
        "viewport": {"width": 390, "height": 760},
        "device_scale_factor": 2,
    },
}
ANSWER_SECONDS = 4
"""Longest answer: the next question would interrupt it."""
WARM_UP_MS = 15_000
"""Time in which the spare agent for the next call loads; it would slow this call down."""
FILM_ROWS = 22
TYPING_SECONDS = 0.06
READING_SECONDS = 1.2

_stumbles: list[str] = []


def main() -> None:
    """Make the journeys that are named, or all; name the stumbles."""
    journeys: dict[str, Callable[[Path], None]] = {
        "page": want_page,
        "deploy": want_deployment,
        "phone": want_phone_calls,
        "film": film_first_call,
    }
    for name in sys.argv[1:] or journeys:
        with tempfile.TemporaryDirectory() as folder:
            journeys[name](Path(folder))
    sys.exit("\n".join(_stumbles) or None)


# Journeys


def want_page(folder: Path) -> None:
    """Create a project by answering questions, talk to it on the page and in the terminal."""
    with SoundCard.plugged_in(folder) as card:
        with typed("voicecore init", folder, card.env) as init:
            init.shows("Project name:")
            init.presses("C-a", "C-k")
            init.types("support-line")
            init.presses("Enter")
            init.shows("How do callers reach the agent?")
            init.presses("Space", "Down", "Space", "Enter")
            init.shows("Pipeline:")
            init.presses("Enter")
            init.shows("Talk to it:")
        project = folder / "support-line"
        with typed("voicecore dev", project, card.env, stop=True) as dev:
            dev.shows("warm")
            [address] = re.findall(r"http\S+#\S+", dev.screen("-J"))
            call_on_page(address, card)
            with typed("voicecore talk", project, card.env, stop=True) as talk:
                converse(talk, card)
                photograph(talk, "voicecore talk", "talk")
                photograph(dev, "voicecore dev", "dev")
        take_build(project)


def want_deployment(folder: Path) -> None:
    """Read the plan of a first deploy, deploy to the stand-in of AWS, look around, and destroy."""
    options = "--transport webrtc --pipeline nova-sonic --yes"
    run(f"voicecore init support-line {options}", folder, {}, "Talk to it:")
    project = folder / "support-line"
    with aws_standin() as aws:
        show_plan(project, aws.environment | {"AWS_ENDPOINT_URL_ECR": aws.url}, "deploy")
        # The images are doubles; all else is the command itself.
        double = f"{sys.executable} -m tests.cloud.deploying"
        env = aws.environment
        with typed(f"{double} deploy {project}", ROOT, env, height=50) as deploy:
            deploy.shows("Apply these changes?")
            deploy.presses("y")
            deploy.shows("is deployed")
        run("voicecore status", project, env, "READY")
        run("voicecore logs", project, env, "[ended")
        run("voicecore invite", project, env, "[ended")
        with typed(f"{double} destroy {project}", ROOT, env, height=50) as destroy:
            destroy.shows("Delete all of this?")
            destroy.presses("y")
            destroy.shows("Nothing is left.")
        run("voicecore status", project, env, "not deployed")


def want_phone_calls(folder: Path) -> None:
    """Call the agent by a telephone that is made up, mistype a number, and read the plan."""
    options = "--pipeline offline --transport telephony --provider twilio --yes"
    run(f"voicecore init hotline {options}", folder, {}, "Talk to it:")
    project = folder / "hotline"
    command = "voicecore talk --phone twilio"
    with (
        SoundCard.plugged_in(folder) as card,
        typed(command, project, card.env, stop=True) as phone,
    ):
        phone.shows("agent    spoke for")
        for count, question in enumerate(QUESTIONS, 1):
            ask(card, question)
            phone.shows(f"{count} turn")
            time.sleep(ANSWER_SECONDS)
        photograph(phone, command, "phone")
    with aws_standin() as aws:
        env = aws.environment
        run("voicecore call 4155550199", project, env, "country")
        run("voicecore call +14155550199", project, env, "[ended")
        show_plan(project, env | {"AWS_ENDPOINT_URL_ECR": aws.url}, "")


def film_first_call(folder: Path) -> None:
    """Record a project's creation and its first call: in the terminal and on the page."""
    with SoundCard.plugged_in(folder) as card:
        env = {**card.env, "PATH": os.environ["PATH"], "PS1": "$ "}
        shell = ["bash", "--noprofile", "--norc"]
        with Terminal.running(shell, folder, env, WIDTH, FILM_ROWS) as terminal:
            terminal.shows("$")
            path = ROOT / "docs/first-call.svg"
            with recorded_terminal(terminal, path, "A first call", WIDTH, FILM_ROWS):
                enter(terminal, "voicecore init support-line")
                for question in ("How do callers reach the agent?", "Pipeline:"):
                    terminal.shows(question)
                    time.sleep(READING_SECONDS)
                    terminal.presses("Enter")
                terminal.shows("Talk to it:")
                enter(terminal, "cd support-line && clear")
                enter(terminal, "voicecore talk")
                converse(terminal, card)
                terminal.presses("C-c")
                time.sleep(ANSWER_SECONDS)
        with typed("voicecore dev", folder / "support-line", card.env, stop=True) as dev:
            dev.shows("warm")
            [address] = re.findall(r"http\S+#\S+", dev.screen("-J"))
            film_page(address, card)


# Steps


def film_page(address: str, card: SoundCard) -> None:
    """Record a call on the page as docs/first-call.webp."""
    with sync_playwright() as playwright:
        browser = audible_chromium(playwright, card)
        page = browser.new_page(viewport={"width": 800, "height": 600})
        page.set_default_timeout(60_000)
        page.goto(address)
        with recorded_page(page, ROOT / "docs/first-call.webp"):
            hold_call(page, card, 1000 * ANSWER_SECONDS)
        browser.close()


def hold_call(page: Page, card: SoundCard, before_ms: int) -> None:
    """Start a call on the page, wait, and ask the questions."""
    page.get_by_role("button", name="Start the call").click()
    page.get_by_role("log").locator(".agent").wait_for()
    page.wait_for_timeout(before_ms)
    for question, answer in QUESTIONS.items():
        ask(card, question)
        page.locator(".agent", has_text=answer).wait_for()
        page.wait_for_timeout(1000 * ANSWER_SECONDS)


def converse(terminal: Terminal, card: SoundCard) -> None:
    """Hear the greeting of `voicecore talk`, and ask the questions."""
    terminal.shows("How can I help?")
    time.sleep(ANSWER_SECONDS)
    for question, answer in QUESTIONS.items():
        ask(card, question)
        terminal.shows(answer)
        time.sleep(ANSWER_SECONDS)


def enter(terminal: Terminal, command: str) -> None:
    """Type a command letter by letter, as a person does."""
    for letter in command:
        terminal.types(letter)
        time.sleep(TYPING_SECONDS)
    time.sleep(READING_SECONDS / 2)
    terminal.presses("Enter")


def call_on_page(address: str, card: SoundCard) -> None:
    """Call the agent from each screen, and write docs/page-*.png."""
    with sync_playwright() as playwright:
        browser = audible_chromium(playwright, card)
        for kind, screen in SCREENS.items():
            context = browser.new_context(**screen)
            talk_on(context.new_page(), address, card, kind)
            context.close()
        browser.close()


def talk_on(page: Page, address: str, card: SoundCard, kind: str) -> None:
    """Hold a call on the page, and take its picture."""
    page.set_default_timeout(60_000)
    page.goto(address)
    hold_call(page, card, WARM_UP_MS)
    if kind != "phone":
        page.locator(".latency summary").last.click()
        page.mouse.move(0, 0)
    page.screenshot(path=ROOT / f"docs/page-{kind}.png")
    page.get_by_role("button", name="Hang up").click()


def take_build(project: Path) -> None:
    """Photograph the first push of an image, to a test registry behind the name of ECR."""
    with run_registries() as registries:
        command = f"voicecore build --no-cache --builder direct --push {registries.ecr.host}/agent"
        argv = shlex.join(registries.argv(*command.split()))
        with typed(argv, project, registries.env(), height=50) as build:
            build.shows("Pushed")
            photograph(build, "voicecore build --push REPOSITORY", "build")


def show_plan(project: Path, env: Mapping[str, str], picture: str) -> None:
    """Read the plan of a first deploy; a test registry has the base image."""
    with run_registries() as registries:
        argv = shlex.join(registries.argv("voicecore", "deploy", "--dry-run"))
        with typed(argv, project, {**registries.env(), **env}, height=50) as plan:
            plan.shows("Nothing was changed")
            if picture:
                photograph(plan, "voicecore deploy --dry-run", picture)


def ask(card: SoundCard, question: str) -> None:
    """Speak a question into the microphone."""
    card.speak(ROOT / "voicecore/samples" / f"{question}.wav").wait()


def run(command: str, folder: Path, env: Mapping[str, str], expected: str) -> None:
    """Type a command, and wait for its end and for what it shows."""
    with typed(command, folder, env) as terminal:
        terminal.shows(expected)


@contextmanager
def typed(
    command: str, folder: Path, env: Mapping[str, str], height: int = 24, stop: bool = False
) -> Iterator[Terminal]:
    """Type a command in a terminal, and note the stumbles of its last screen.

    It ends by itself, or by Ctrl-C if it is to be stopped.
    """
    changed = {"PATH": os.environ["PATH"], **env}
    with Terminal.running(shlex.split(command), folder, changed, WIDTH, height) as terminal:
        yield terminal
        found = _stumbles_on(terminal, folder)
        if stop:
            terminal.presses("C-c")
        terminal.ends()
        found += _stumbles_on(terminal, folder)
        _stumbles.extend(f"{command}: {each}" for each in dict.fromkeys(found))


def _stumbles_on(terminal: Terminal, folder: Path) -> list[str]:
    return stumbles_on(terminal.screen(), terminal.screen("-J"), WIDTH, folder)


def photograph(terminal: Terminal, title: str, name: str) -> None:
    """Write the screen as docs/NAME.svg, without the web fonts that rich names."""
    screen = terminal.screen("-e").partition("[ended with")[0].rstrip("\n")
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere)
        console.print(Text.from_ansi(screen))
        svg = console.export_svg(title=title)
    (ROOT / f"docs/{name}.svg").write_text(_FONT.sub("", svg), encoding="utf-8")


if __name__ == "__main__":
    main()
