"""Takes the README's pictures: real commands in a real terminal, spoken to by shipped samples.

`python docs/pictures.py DEMO`, from the checkout's root, where DEMO is what `make demo` made.
"""

from __future__ import annotations

import os
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
sys.path.insert(0, str(ROOT))  # the sound card is one of the tests' real parts

from tests.standins.aws import aws_standin  # noqa: E402 - found by the line above
from tests.standins.image.registries import run_registries  # noqa: E402 - found by the line above
from tests.standins.soundcard import SoundCard  # noqa: E402

WIDTH, HEIGHT = 90, 22
QUESTIONS = ("what-time-is-it", "twelve-times-seven", "open-on-sunday")


def main() -> None:
    """Write docs/talk.svg, docs/dev.svg, docs/phone.svg, docs/build.svg and docs/deploy.svg."""
    project = Path(sys.argv[1]).resolve()
    take_plan()
    take_build(project)
    take_conversation(project)
    take_call()


def take_plan() -> None:
    """Photograph what a first deploy would make, in a network of its own, and cost."""
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
    """Photograph an image's first way to a registry: the tests', behind ECR's name."""
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
    """Photograph a call by telephone."""
    with tempfile.TemporaryDirectory() as folder, SoundCard.plugged_in(Path(folder)) as card:
        init = "voicecore init hotline --pipeline offline --transport telephony --provider twilio"
        subprocess.run([*init.split(), "--yes"], cwd=folder, check=True, capture_output=True)
        command = f"voicecore talk --phone twilio --project {folder}/hotline"
        with terminal("phone", command, card.env) as phone:
            phone.wait_for("spoke for", 120)  # it has greeted
            ask(card)
            time.sleep(5)
            phone.photograph("voicecore talk --phone twilio", ROOT / "docs/phone.svg")


def ask(card: SoundCard) -> None:
    """Speak the questions, with time for the answers."""
    for question in QUESTIONS:
        time.sleep(4)
        card.speak(ROOT / "voicecore/samples" / f"{question}.wav").wait()


class Terminal:
    """A tmux session that runs one command."""

    def __init__(self, name: str) -> None:
        self.name = f"voicecore-{name}"

    def screen(self) -> str:
        """What is on it, with its colours as escape codes."""
        argv = ["tmux", "capture-pane", "-e", "-p", "-t", self.name]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait until `text` is on it."""
        deadline = time.monotonic() + seconds
        while text not in Text.from_ansi(self.screen()).plain:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text!r} is not on:\n{self.screen()}")
            time.sleep(0.2)

    def photograph(self, title: str, path: Path) -> None:
        """Write what is on it as SVG."""
        with Path("/dev/null").open("w") as nowhere:
            console = Console(record=True, width=WIDTH, file=nowhere)
            console.print(Text.from_ansi(self.screen().rstrip("\n")))
            console.save_svg(str(path), title=title)


@contextmanager
def terminal(
    name: str, command: str, env: Mapping[str, str], height: int = HEIGHT
) -> Iterator[Terminal]:
    """A terminal of `height` lines that runs `command`, and stands until the block ends."""
    made = Terminal(name)
    # tmux may have been started elsewhere: its environment is not ours.
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
