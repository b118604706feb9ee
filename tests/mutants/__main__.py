"""Owns the mutation run: `python -m tests.mutants [PART OF A MODULE'S PATH]…`.

Plants a sample of the mutations of each module, one at a time, in a copy of the code, and runs
the tests of that module. A mutant that no test notices survives. `equivalent.toml` has survivors
that change nothing that matters, each with the reason. Fails below 85 % killed of the rest.
MUTANTS is the size of the sample per module (12), SEED chooses it (0).

Our own, because most of what has to be right here is data or generated: mutmut changes only code
inside functions, so no limit and no list of a policy; cosmic-ray changes the checkout itself, and
neither runs tests with the environment of a generated project.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
# Limits of the tests of one module, for mutants that loop or wait for ever.
CPU_SECONDS, SECONDS = 60, 300


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


@dataclass(frozen=True)
class Tests:
    """The tests of a target, in a folder of its own."""

    folder: Path
    python: Path
    paths: tuple[str, ...]

    def run(self, **environment: str) -> tuple[int, float]:
        """Return pytest's exit code and the CPU time in s."""
        argv = [self.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *self.paths]
        own = {"PYTHONPATH": str(self.folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        process = subprocess.Popen(
            argv,
            cwd=self.folder,
            env=os.environ | own | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_CPU, (CPU_SECONDS,) * 2),
        )
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime


def attempt(target: Target, folder: Path, project: Path, size: int, seed: int) -> Outcome:
    """Plant a sample of the target's mutations in a copy of the code in `folder`."""
    if target.project:
        shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".venv"))
    else:
        copy_checkout(folder)
    python = project / "server/.venv/bin/python" if target.project else Path(sys.executable)
    tests = Tests(folder, python, target.tests)
    code, seconds = tests.run()
    if code:
        raise SystemExit(f"The tests of {target.module} fail without a mutant: {target.tests}")
    module = folder / target.module
    source, known = module.read_text(), equivalents().get(target.module, {})
    found = list(mutations(source))
    sample = Random(seed).sample(found, min(size, len(found)))
    killed, equivalent, survivors = 0, 0, list[str]()
    for each in sorted(sample, key=lambda mutation: mutation.line):
        module.write_text(each.source())
        if tests.run(PYTHONDONTWRITEBYTECODE="1")[0]:  # that of the first run is good for all
            killed += 1
        elif each.change.startswith(tuple(known)):
            equivalent += 1
        else:
            survivors.append(f"{target.module}:{each.line} {each.change}")
    shutil.rmtree(folder)
    return Outcome(target, len(found), len(sample), killed, equivalent, survivors, seconds)


def equivalents() -> dict[str, dict[str, str]]:
    """Return the reasons of mutations that are no faults, by module and start of the change."""
    return tomllib.loads(EQUIVALENT.read_text())


def copy_checkout(folder: Path) -> None:
    """Copy the files that Git knows or would know."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


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
        folders = [Path(name) / str(n) for n in range(len(targets))]
        done = pool.map(lambda t, f: attempt(t, f, project, size, seed), targets, folders)
        outcomes = list(rows(done))
    killed = sum(each.killed for each in outcomes)
    counted = killed + sum(len(each.survivors) for each in outcomes)
    print(f"\n{killed} of {counted} killed ({GOAL:.0%} are the goal), with seed {seed}")
    return int(killed < GOAL * counted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
