"""Owns the files that adopt writes: voicecore.toml, and those that the user asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from voicecore import __version__
from voicecore.adopt.command import StartCommand
from voicecore.adopt.entries import APP, Kind
from voicecore.adopt.folder import Folder
from voicecore.adopt.packages import Packages
from voicecore.adopt.report import Missing, Report, with_app
from voicecore.catalog import platforms
from voicecore.catalog.pipelines import CUSTOM, DEFAULT
from voicecore.catalog.transports import DEFAULT as DEFAULT_TRANSPORT
from voicecore.project import identity
from voicecore.project.project import FILE
from voicecore.project.settings.programs import AGENT, SERVER, ServerProgram
from voicecore.scaffold import render
from voicecore.scaffold.render import Answers, Files

KEYS = "agentcore_keys"
"""Program that starts the agent in AWS with the keys of its secret."""

IGNORED = ".voicecore/.gitignore"
"""File that keeps git, and not the user, from seeing the folder of local runs."""

_HEALTH = "/health"

_RUN_BOT = ("transport", "runner_args")
_ARGUMENTS = {
    "transport": "transport",
    "runner_args": "arguments",
    "runner_arguments": "arguments",
    "args": "arguments",
    "handle_sigint": "False",
}
"""Arguments for the parameters that run_bot has in samples."""


@dataclass(frozen=True)
class Adoption:
    """The user's answers to adopt."""

    name: str
    region: str
    id: str
    add: Collection[Missing]


def files_for(report: Report, folder: Folder, adoption: Adoption) -> tuple[Report, Files]:
    """Return the new files, and the report as they make it."""
    files: Files = {IGNORED: b"*\n"}
    if Missing.APP in adoption.add:
        place = "" if report.command.folder == "." else f"{report.command.folder}/"
        files[f"{place}{APP}.py"] = _app(report)
        report = with_app(report, APP)
    if Missing.KEYS in adoption.add:
        files[f"{KEYS}.py"] = render.adopted(f"{KEYS}.py", {})
    if Missing.DOCKERFILE in adoption.add:
        files |= _container_files(report, folder, Missing.KEYS in adoption.add)
    if Missing.TESTS in adoption.add:
        files["tests/test_agent.py"] = render.adopted("test_agent.py", _test_variables(report))
    if Missing.SERVER in adoption.add:
        files |= _server_files(adoption)
    if Missing.GUIDE in adoption.add:
        files["AGENTS.md"] = render.adopted("AGENTS.md", _guide_variables(report, adoption))
    files[FILE] = "\n".join(_settings(report, adoption)).encode()
    return report, files


def _server_files(adoption: Adoption) -> Files:
    """Return the session server of a generated project, for an agent that it cannot tell anything.

    Its tests are left out: they need the agent of a generated project.
    """
    answers = Answers(adoption.name, (DEFAULT_TRANSPORT,), DEFAULT, adoption.region, {})
    rendered = render.render(answers, render.new_session_api_key(), adoption.id)
    tests = f"{SERVER}/internal/tests/"
    files = {
        name: content
        for name, content in rendered.items()
        if name.startswith(f"{SERVER}/") and not name.startswith(tests)
    }
    return files | {
        f"{SERVER}/.gitignore": b".env\n.venv\n__pycache__\n",
        f"{SERVER}/internal/opened_url.py": render.adopted("opened_url.py", {}),
    }


def _app(report: Report) -> bytes:
    """Return the app around a bot, or around an app that does not answer /ping."""
    entry, module = report.entry, report.entry.module
    place = PurePosixPath(entry.file).relative_to(report.command.folder)
    name = ".".join(place.with_suffix("").parts)
    if entry.kind == Kind.FASTAPI:
        return render.adopted("agentcore_ping.py", {"module": name, "variable": entry.variable})
    run_bot = module.functions.get("run_bot") if module else None
    names = run_bot.parameters if run_bot else ()
    known = bool(names) and all(name in _ARGUMENTS for name in names) and names[0] == _RUN_BOT[0]
    return render.adopted(
        f"{APP}.py",
        {
            "module": name,
            "arguments": [_ARGUMENTS[name] for name in names] if known else [],
        },
    )


def _container_files(report: Report, folder: Folder, keys: bool) -> Files:
    newest = "3.13"
    python = (
        re.search(r"3\.(\d+)", report.packages.python) if "=" in report.packages.python else None
    )
    exact = python and report.packages.python.startswith("==")
    start = ("python", f"/app/{KEYS}.py") if keys else ()
    variables = {
        "python": f"3.{python[1]}" if python and exact else newest,
        "requirements": report.packages.file,
        "command": json.dumps([*start, *report.command.in_image]),
        "keys": keys,
        "folder": report.command.folder,
    }
    files = {"Dockerfile": render.adopted("Dockerfile", variables)}
    if not folder.has(".dockerignore"):
        files[".dockerignore"] = render.adopted(".dockerignore", variables)
    return files


def _test_variables(report: Report) -> dict[str, object]:
    return {
        "command": list(report.command.words),
        "folder": report.command.folder,
        "port": report.command.port,
    }


def _guide_variables(report: Report, adoption: Adoption) -> dict[str, object]:
    return {
        "entry": report.entry.file,
        "requirements": report.packages.file,
        "added": [each.value for each in adoption.add],
    }


def _settings(report: Report, adoption: Adoption) -> Iterator[str]:
    """Yield the lines of voicecore.toml."""
    yield "# How voicecore runs and deploys the agent in this folder. Edit it as you like."
    yield ""
    yield f'name = "{adoption.name}"'
    yield identity.line_of(adoption.id)
    yield f"transports = {json.dumps(list(report.transports))}"
    yield f'pipeline = "{CUSTOM}"   # an agent of your own, which [agent] describes'
    yield f'region = "{adoption.region}"'
    yield f'platform = "{platforms.V1}"   # of AgentCore: v1 boots each session'
    yield f'voicecore = "{__version__}"'
    yield ""
    yield f"[{AGENT}]"
    yield from _program(report.command, report.packages)
    if report.uses:
        yield f"uses = {json.dumps(list(report.uses))}   # AWS services that its role allows"
    if Missing.SERVER in adoption.add:
        own = ServerProgram()
        yield from ("", f"[{SERVER}]", f"folder = {_text(own.folder)}")
        yield from (f"command = {_text(own.command)}", f"requirements = {_text(own.requirements)}")
        yield f"health = {_text(own.health)}"
    elif server := report.server:
        yield from ("", f"[{SERVER}]", *_program(server.command, server.packages))
        if server.entry.module and server.entry.module.route(_HEALTH):
            yield f"health = {_text(_HEALTH)}"
    yield ""


def _program(command: StartCommand, packages: Packages) -> Iterator[str]:
    """Yield the lines of a program's table."""
    yield f"folder = {_text(command.folder)}"
    note = "   # $PORT is the port that it is given" if "$PORT" in command.words else ""
    yield f"command = {_text(command.line)}{note}"
    if packages.file:
        up = "../" if command.folder != "." else ""
        own = packages.file.removeprefix(f"{command.folder}/")
        yield f"requirements = {_text(own if own != packages.file else up + packages.file)}"
    if command.port:
        yield f"port = {command.port}   # it listens there, whatever PORT says"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
