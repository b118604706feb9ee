"""Every command in the docs exists: voicecore's own parser accepts it, and a few are run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.docs.blocks import PAGES, ROOT, Block, blocks_in, commands_in, inline_in
from voicecore.cli.app import app

PROGRAMS = {
    ".voicecore/tls/run", "aws", "cd", "cloudflared", "command", "curl", "docker", "eval", "git",
    "jq", "make", "npm", "pip", "pre-commit", "python", "source", "uv", "voicecore",
}  # fmt: skip
BLOCKS = [block for page in PAGES for block in blocks_in(page)]
WITH_COMMANDS = [page for page in PAGES if [*blocks_in(page), *inline_in(page)]]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def parse(argv: list[str]) -> None:
    """Parse a voicecore command without running it. Raises what its parser raises."""
    command: Any = typer.main.get_command(app)
    if argv[1:2] and argv[1] in {opt for option in command.params for opt in option.opts}:
        return  # --version and --install-completion act while they are parsed
    context = command.make_context(argv[0], argv[1:])
    while hasattr(command, "list_commands"):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        if "--help" not in rest:
            context = command.make_context(name, rest, context)


def all_options(command: Any = None) -> set[str]:
    """Return the options of every voicecore command."""
    command = command or typer.main.get_command(app)
    own = {name for parameter in command.params for name in parameter.opts}
    return own.union(*map(all_options, getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_voicecore_accepts_commands_in_blocks(page: Path) -> None:
    for block in blocks_in(page):
        for argv in block.commands:
            if argv[0] == "voicecore":
                parse(argv)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_voicecore_knows_commands_in_text(page: Path) -> None:
    for argv in inline_in(page):
        try:
            parse(argv)
        except Exception as error:
            # The text may name a command without its arguments.
            if "Missing argument" not in str(error):
                raise


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_programs_are_known(page: Path) -> None:
    programs = {argv[0] for block in blocks_in(page) for argv in block.commands}
    assert programs <= PROGRAMS


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {argv[1] for block in BLOCKS for argv in block.commands if argv[0] == "make"}
    used |= {
        match for page in PAGES for match in re.findall(r"`make ([a-z]+)[^`]*`", page.read_text())
    }
    assert used <= targets


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.is_run], ids=lambda b: f"{name_of(b.page)}:{b.line}"
)
def test_marked_block_runs(block: Block, tmp_path: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", block.text], cwd=tmp_path, env=env, check=True, timeout=120)


def test_blocks_are_marked_to_run() -> None:
    assert sum(block.is_run for block in BLOCKS) >= 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("voicecore init  # asks", [["voicecore", "init"]]),
        ("sudo A=1 voicecore dev --nat", [["voicecore", "dev", "--nat"]]),
        (
            'sudo --preserve-env "$(command -v voicecore)" dev --tls',
            [["command", "-v", "voicecore"], ["voicecore", "dev", "--tls"]],
        ),
        ("cd x && voicecore talk", [["cd", "x"], ["voicecore", "talk"]]),
        ("voicecore status --json | jq '.a | .b'",
         [["voicecore", "status", "--json"], ["jq", ".a | .b"]]),
        ('eval "$(voicecore dev --env)"',
         [["voicecore", "dev", "--env"], ["eval", "$(voicecore dev --env)"]]),
        ("curl x \\\n  -H y", [["curl", "x", "-H", "y"]]),
        ("python -c 'a\nb'", [["python", "-c", "a\nb"]]),
    ],
)  # fmt: skip
def test_reads_commands(text: str, expected: list[list[str]]) -> None:
    assert list(commands_in(text)) == expected


@pytest.mark.parametrize(
    "line", ["voicecore deploy --sever", "voicecore depoly", "voicecore turn x"]
)
def test_rejects_unknown_option_and_command(line: str) -> None:
    with pytest.raises(Exception, match=r"No such|Missing"):
        parse(line.split())
