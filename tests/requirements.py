"""Owns what tests need from the machine, and the report of the tests that it cannot run.

A test or module names its requirements with `@pytest.mark.needs("redis-server")`; a stand-in calls
`require("PulseAudio")` before it starts. Each requirement is checked once. If the machine lacks
one, the test is skipped, and a summary at the end names the requirement, the number of tests and
the command that provides it. With CI=true the test fails instead. `python -m tests.requirements`
prints everything that this machine lacks. Outside make, the first line of a run says how the
environment differs.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ENGINE_PARTS = Path("/usr/local/lib/voicecore-lab/bin")
_REASON = "needs "
_LEFT_OUT = "left out"


@dataclass(frozen=True)
class Requirement:
    """Something that tests need: why this machine lacks it, and the command that provides it."""

    name: str
    problem: Callable[[], str]
    """Returns why the machine lacks it; empty if it has it."""
    provide: str


def require(*names: str) -> None:
    """Skip the current test unless the machine has these; with CI=true, fail it."""
    missing = [name for name in names if problem_of(name)]
    if not missing:
        return
    if in_ci():
        pytest.fail("CI=true, but this machine lacks:\n" + "\n".join(_lines(missing)), False)
    pytest.skip(_REASON + ", ".join(missing))


def in_ci() -> bool:
    """Return whether no test may be left out."""
    return os.environ.get("CI") == "true"


@cache
def problem_of(name: str) -> str:
    """Return why this machine lacks the requirement; empty if it has it."""
    return REQUIREMENTS[name].problem()


def tools(*programs: str) -> Callable[[], str]:
    """Return a check for programs on PATH."""

    def problem() -> str:
        missing = [program for program in programs if not shutil.which(program)]
        return f"{', '.join(missing)} not found" if missing else ""

    return problem


def command(*argv: str) -> Callable[[], str]:
    """Return a check that runs a command."""

    def problem() -> str:
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode == 0:
            return ""
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]

    return problem


def first(*checks: Callable[[], str]) -> Callable[[], str]:
    """Return a check that reports the first problem of several checks."""
    return lambda: next((problem for check in checks if (problem := check())), "")


def _root() -> str:
    if os.geteuid() != 0:
        return "not root"
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.chown(file.name, 1, 1)
        except PermissionError:
            return "root without capabilities"
    return ""


def _port_443() -> str:
    try:
        with socket.create_server(("127.0.0.1", 443)):
            return ""
    except PermissionError:
        return "this user may not listen on ports below 1024"
    except OSError:
        return ""  # in use here, but the tests use addresses of their own


def _mount_namespaces() -> str:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    bind = "mount --bind /etc/hosts /etc/hosts"
    return command("unshare", "--mount", *user, "sh", "-c", bind)()


def _engine_parts() -> str:
    parts = [ENGINE_PARTS / "dockerd", ENGINE_PARTS / "docker-registry"]
    missing = [str(part) for part in parts if not part.exists()]
    return f"{missing[0]} is missing" if missing else ""


def _emulation() -> str:
    if platform.machine() in ("aarch64", "arm64"):
        return ""
    if not (ENGINE_PARTS / "qemu-aarch64").exists():
        return f"{ENGINE_PARTS / 'qemu-aarch64'} is missing"
    table = "/proc/sys/fs/binfmt_misc"
    if Path(table, "register").exists():
        return "" if os.access(f"{table}/register", os.W_OK) else "may not change binfmt_misc"
    return command("unshare", "--mount", "mount", "-t", "binfmt_misc", "none", table)()


def _agent_python() -> str:
    import uv

    # That of the base image: bytecode for it is compiled here. Agents run on 3.12 and newer.
    find = (uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", "3.13")
    return "no Python 3.13 on PATH" if command(*find)() else ""


_NETWORK = (
    "ip link add name one type veth peer name other && iptables -t nat -A POSTROUTING -j MASQUERADE"
)
_LAB = "make lab"
_AS_ROOT = "sudo make test   # in a container: docker run --privileged"

REQUIREMENTS = {
    requirement.name: requirement
    for requirement in (
        Requirement("root", _root, _AS_ROOT),
        Requirement(
            "network namespaces",
            first(
                _root,
                tools("ip", "iptables", "sysctl"),
                command("unshare", "--net", "--mount", "sh", "-c", _NETWORK),
            ),
            _AS_ROOT,
        ),
        Requirement(
            "mount namespaces",
            _mount_namespaces,
            "sudo make test   # or:  sudo sysctl kernel.unprivileged_userns_clone=1",
        ),
        Requirement("port 443", _port_443, "sudo sysctl net.ipv4.ip_unprivileged_port_start=443"),
        Requirement(
            "Docker engine",
            first(
                _engine_parts,
                _root,
                command("unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"),
            ),
            f"{_LAB} && {_AS_ROOT}",
        ),
        Requirement("arm64 emulation", first(_emulation, _root), f"{_LAB} && {_AS_ROOT}"),
        Requirement("base image", first(tools("mmdebstrap"), _root), f"{_LAB} && {_AS_ROOT}"),
        Requirement("coturn", tools("turnserver"), _LAB),
        Requirement("faketime", tools("faketime"), _LAB),
        Requirement("tayga", tools("tayga"), _LAB),
        Requirement("chromium", tools("chromium"), _LAB),
        Requirement("redis-server", tools("redis-server"), _LAB),
        Requirement("tmux", tools("tmux"), _LAB),
        Requirement("PulseAudio", tools("pulseaudio", "pactl", "paplay", "parec"), _LAB),
        Requirement("espeak-ng", tools("espeak-ng"), _LAB),
        Requirement("sox", tools("sox"), _LAB),
        Requirement("git", tools("git"), _LAB),
        Requirement("Python 3.13", _agent_python, "uv python install 3.13"),
    )
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): what the test needs from the machine")


def pytest_sessionstart(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal and (found := differences(os.environ, problem_of("Python 3.13"))):
        terminal.write_line(
            f"Some tests may fail, because this is not make's environment: {', '.join(found)}. "
            "Run:  make test ARGS=PATH"
        )


def differences(env: Mapping[str, str], no_python: str) -> list[str]:
    """Return how an environment differs from that of make; `no_python` is why agents cannot run."""
    unset = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")  # the Makefile says why
    return [*filter(None, [no_python]), *(f"{name} is set" for name in unset if env.get(name))]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    require(*(name for mark in item.iter_markers("needs") for name in mark.args))


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    return (_LEFT_OUT, "s", "LEFT OUT") if _needs(report) else None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the summary below everything else, where it is seen."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and (reports := terminal.stats.get(_LEFT_OUT, [])):
        terminal.section(f"{len(reports)} left out", "=", yellow=True)
        tests = Counter(name for report in reports for name in _needs(report))
        for line in _lines(tests, tests):
            terminal.write_line(line)


def _needs(report: pytest.TestReport) -> list[str]:
    """Return the requirements for lack of which a test was skipped."""
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return []
    reason = str(report.longrepr[2]).removeprefix("Skipped: ")
    return reason.removeprefix(_REASON).split(", ") if reason.startswith(_REASON) else []


def _lines(names: Iterable[str], tests: Counter[str] | None = None) -> Iterable[str]:
    for name in names:
        count = tests[name] if tests else 0
        prefix = f"{count} {'tests need' if count > 1 else 'test needs'} " if count else ""
        yield f"{prefix}{name}: {problem_of(name)}.\n    {REQUIREMENTS[name].provide}"


def main() -> int:
    """Print what this machine lacks; return 1 with CI=true."""
    missing = [name for name in REQUIREMENTS if problem_of(name)]
    if not missing:
        return 0
    print("CI=true, but this machine lacks:" if in_ci() else "Tests that need these are left out:")
    for line in _lines(missing):
        print(f"  {line}".replace("\n", "\n  "))
    return 1 if in_ci() else 0


if __name__ == "__main__":
    sys.exit(main())
