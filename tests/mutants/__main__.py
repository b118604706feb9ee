"""Owns the mutation run: `python -m tests.mutants [PART OF A MODULE'S PATH]…`.

Plants a sample of the mutations of each module, one at a time, and runs the tests of that module.
A mutant that no test notices survives. `equivalent.toml` has survivors that change nothing that
matters, each with the reason. Fails below 85 % killed of the rest. MUTANTS is the size of the
sample per module (12), SEED chooses it (0).

Our own, because most of what has to be right here is data or generated: mutmut changes only code
inside functions, so no limit and no list of a policy; cosmic-ray changes the checkout itself, and
neither runs tests with the environment of a generated project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import uv

from tests.mutants.mutations import mutations
from tests.mutants.targets import TARGETS, Target
from voicecore.catalog.phones import PHONES
from voicecore.scaffold.render import Answers, Files, render, write_new

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
GOAL = 0.85
PLANT = Path(__file__).with_name("plant.py")


@dataclass(frozen=True)
class Outcome:
    """The fates of a module's mutants."""

    target: Target
    total: int
    sampled: int
    killed: int
    equivalent: int
    survivors: Sequence[str]
    seconds: float
    """CPU time of the tests without a mutant."""


def attempt(target: Target, root: Path, size: int, seed: int) -> Outcome:
    """Run the target's tests against a sample of its mutations."""
    source, known = (root / target.module).read_text(), equivalents().get(target.module, {})
    found = list(mutations(source))
    sample = sorted(Random(seed).sample(found, min(size, len(found))), key=lambda each: each.line)
    versions = [source, *(mutation.source() for mutation in sample)]
    python = root / "server/.venv/bin/python" if target.project else Path(sys.executable)
    done = subprocess.run(
        [python, PLANT, target.module, *target.tests],
        cwd=root,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        input="".join(f"{json.dumps(version)}\n" for version in versions),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, unchanged, *codes = done.stdout.splitlines()
    code, seconds = first.split()
    if (code, unchanged) != ("0", "0"):
        raise SystemExit(f"The tests of {target.module} fail without a mutant: {target.tests}")
    survived = [each for each, code in zip(sample, codes, strict=True) if code == "0"]
    faults = [each for each in survived if not each.change.startswith(tuple(known))]
    return Outcome(
        target,
        total=len(found),
        sampled=len(sample),
        killed=len(sample) - len(survived),
        equivalent=len(survived) - len(faults),
        survivors=[f"{target.module}:{each.line} {each.change}" for each in faults],
        seconds=float(seconds),
    )


def equivalents() -> dict[str, dict[str, str]]:
    """Return the reasons of mutations that are no faults, by module and start of the change."""
    return tomllib.loads(EQUIVALENT.read_text())


def project_files() -> Files:
    """Return the files of a generated project with phones."""
    transports = ("websocket", "telephony")
    answers = Answers("line", transports, "offline", "us-east-1", {}, tuple(PHONES))
    return render(answers, "a-key-of-the-mutation-run")


def make_project(folder: Path) -> None:
    """Create the project, and the environment of its server."""
    write_new(project_files(), folder)
    command = [uv.find_uv_bin(), "sync", "--quiet", "--project", "server"]
    subprocess.run(command, cwd=folder, check=True)


def rows(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Print each outcome when it is known, with the survivors on stderr."""
    print("| module | mutations | sampled | killed | equivalent | survived | CPU s of its tests |")
    print("|---|---|---|---|---|---|---|")
    for each in outcomes:
        counts = (each.total, each.sampled, each.killed, each.equivalent, len(each.survivors))
        print(f"| `{each.target.module}` |", *(f"{n} |" for n in counts), f"{each.seconds:.1f} |")
        print(*each.survivors, sep="\n", end="\n" * bool(each.survivors), file=sys.stderr)
        sys.stdout.flush()
        yield each


def number(name: str, default: int) -> int:
    """Return a number from the environment."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise SystemExit(f"{name} is {text!r}, which is not a whole number.")
    return int(text)


def main(parts: Sequence[str]) -> int:
    """Run the mutants of the modules whose paths contain one of `parts`; all without."""
    size, seed = number("MUTANTS", 12), number("SEED", 0)
    targets = [t for t in TARGETS if not parts or any(part in t.module for part in parts)]
    if not targets:
        modules = "\n".join(target.module for target in TARGETS)
        raise SystemExit(
            f"No module that is mutated has {', '.join(parts)} in its path:\n{modules}"
        )
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(2) as pool:
        project = Path(name) / "project"
        if any(target.project for target in targets):
            make_project(project)

        def tried(target: Target) -> Outcome:
            return attempt(target, project if target.project else ROOT, size, seed)

        outcomes = list(rows(pool.map(tried, targets)))
    killed = sum(each.killed for each in outcomes)
    counted = killed + sum(len(each.survivors) for each in outcomes)
    print(f"\n{killed} of {counted} killed ({GOAL:.0%} are the goal), with seed {seed}")
    return int(killed < GOAL * counted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
