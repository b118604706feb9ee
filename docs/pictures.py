"""Takes the pictures of the docs: real commands in a real terminal, spoken to by shipped samples.

`python docs/pictures.py DEMO`, from the root of the checkout; DEMO is the project of `make demo`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the stand-ins and the sound card belong to the tests

from tests.standins.aws import aws_standin  # noqa: E402 - found by the line above
from tests.standins.image.registries import run_registries  # noqa: E402 - found by the line above
from tests.standins.soundcard import SoundCard  # noqa: E402

WIDTH, HEIGHT = 90, 22
_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
QUESTIONS = ("what-time-is-it", "twelve-times-seven", "open-on-sunday")


def main() -> None:
    """Write docs/talk.svg, docs/dev.svg, docs/phone.svg, docs/build.svg and docs/deploy.svg."""
    project = Path(sys.argv[1]).resolve()
    take_plan()
    take_build(project)
    take_conversation(project)
    take_call()


def take_plan() -> None:
    """Photograph the plan of a first deploy in a VPC."""
    with (
        tempfile.TemporaryDirectory() as folder,
        run_registries() as registries,
        aws_standin() as aws,
    ):
        init = "voicecore init support-line --pipeline nova-sonic --yes"
        subprocess.run(init.split(), cwd=folder, check=True, capture_output=True)
        settings = Path(folder, "support-line/voicecore.toml")
        settings.write_text(f'network = "vpc"\n{settings.read_text()}')
        words = f"voicecore deploy --dry-run --project {settings.parent}"
        env = {**registries.env(), **aws.environment, "AWS_ENDPOINT_URL_ECR": aws.url}
        with terminal("deploy", shlex.join(registries.argv(*words.split())), env, 32) as deploy:
            deploy.wait_for("Nothing was changed", 60)
            deploy.photograph("voicecore deploy --dry-run", ROOT / "docs/deploy.svg")


def take_build(project: Path) -> None:
    """Photograph the first push of an image, to a test registry behind the name of ECR."""
    with run_registries() as registries:
        target = f"{registries.ecr.host}/agent"
        words = f"voicecore build --no-cache --builder direct --project {project} --push {target}"
        with terminal(
            "build", shlex.join(registries.argv(*words.split())), registries.env(), 50
        ) as build:
            build.wait_for("Pushed", 120)
            build.photograph("voicecore build --push REPOSITORY", ROOT / "docs/build.svg")


def take_conversation(project: Path) -> None:
    """Photograph both ends of a spoken conversation."""
    dev_command = f"voicecore dev --project {project}"
    talk_command = f"voicecore talk --project {project}"
    with (
        tempfile.TemporaryDirectory() as folder,
        SoundCard.plugged_in(Path(folder)) as card,
        terminal("dev", dev_command, card.env) as dev,
    ):
        dev.wait_for("warm")
        with terminal("talk", talk_command, card.env) as talk:
            talk.wait_for("How can I help?")
            ask(card)
            talk.wait_for("On Sunday")
            time.sleep(1)
            talk.photograph("voicecore talk", ROOT / "docs/talk.svg")
            dev.photograph("voicecore dev", ROOT / "docs/dev.svg")


def take_call() -> None:
    """Photograph a phone call."""
    with tempfile.TemporaryDirectory() as folder, SoundCard.plugged_in(Path(folder)) as card:
        init = "voicecore init hotline --pipeline offline --transport telephony --provider twilio"
        subprocess.run([*init.split(), "--yes"], cwd=folder, check=True, capture_output=True)
        command = f"voicecore talk --phone twilio --project {folder}/hotline"
        with terminal("phone", command, card.env) as phone:
            phone.wait_for("spoke for", 120)  # the agent has greeted the caller
            ask(card)
            time.sleep(5)
            phone.photograph("voicecore talk --phone twilio", ROOT / "docs/phone.svg")


def ask(card: SoundCard) -> None:
    """Speak the questions, and leave time for the answers."""
    for question in QUESTIONS:
        time.sleep(4)
        card.speak(ROOT / "voicecore/samples" / f"{question}.wav").wait()


class Terminal:
    """A tmux session that runs one command."""

    def __init__(self, name: str) -> None:
        self.name = f"voicecore-{name}"

    def screen(self) -> str:
        """Return the text on the screen, with its colors as escape codes."""
        argv = ["tmux", "capture-pane", "-e", "-p", "-t", self.name]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until `text` is on the screen. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while text not in Text.from_ansi(self.screen()).plain:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text!r} is not on the screen:\n{self.screen()}")
            time.sleep(0.2)

    def photograph(self, title: str, path: Path) -> None:
        """Write the screen as SVG, without the web fonts that rich names."""
        with Path("/dev/null").open("w") as nowhere:
            console = Console(record=True, width=WIDTH, file=nowhere)
            console.print(Text.from_ansi(self.screen().rstrip("\n")))
            svg = console.export_svg(title=title)
        path.write_text(_FONT.sub("", svg), encoding="utf-8")


@contextmanager
def terminal(
    name: str, command: str, env: Mapping[str, str], height: int = HEIGHT
) -> Iterator[Terminal]:
    """Run `command` in a terminal of `height` lines until the block ends."""
    made = Terminal(name)
    # A running tmux server has an environment of its own.
    own = {"PATH": os.environ["PATH"]} | dict(env.items() - os.environ.items())
    settings = [f"{key}={value}" for key, value in own.items()]
    size = ["-x", str(WIDTH), "-y", str(height)]
    shell = f"{shlex.join(['env', *settings])} {command}; sleep 60"
    subprocess.run(["tmux", "new-session", "-d", "-s", made.name, *size, shell], check=True)
    try:
        yield made
    finally:
        subprocess.run(["tmux", "send-keys", "-t", made.name, "C-c"], check=False)
        time.sleep(3)
        subprocess.run(["tmux", "kill-session", "-t", made.name], check=False, capture_output=True)


if __name__ == "__main__":
    main()
