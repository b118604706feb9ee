"""Owns how a report is shown: on a terminal, and as a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voicecore.adopt.entries import Kind
from voicecore.adopt.report import Missing, Report
from voicecore.catalog.aws_services import SERVICES
from voicecore.console.output import Line, Span

WRITES = {
    Missing.APP: "agentcore_app.py, which answers AgentCore at /ping, and serves a bot at /ws",
    Missing.KEYS: "agentcore_keys.py, which starts the agent in AWS with its keys",
    Missing.DOCKERFILE: "Dockerfile for linux/arm64",
    Missing.SERVER: "server/, a session server with a page for callers",
    Missing.TESTS: "tests/test_agent.py, which starts the agent and asks /ping",
    Missing.GUIDE: "AGENTS.md, which tells coding agents how to run and test the agent",
}
"""Description of each missing file."""


def lines_of(report: Report, set_keys: Mapping[str, str]) -> Iterator[Line]:
    """Yield the report's lines; `set_keys` are the variables that the agent would get."""
    command = report.command
    rows: list[tuple[str, str]] = [("agent", str(report.entry))]
    if command.words:
        place = "" if command.folder == "." else f"   in {command.folder}/"
        rows.append(("command", command.line + place))
    rows.append(("packages", _packages(report)))
    if report.container:
        rows.append(("Dockerfile", f"on {report.container.base}"))
    rows.append(("port", f"{command.port}, whatever PORT says" if command.port else "any"))
    if command.bind:
        rows.append(("address", f"{command.bind}, by itself"))
    rows.append(("/ping", _ping(report)))
    rows.append(("server", _server(report)))
    rows += [("key", _key(key.name, f"{key.file}:{key.line}", set_keys)) for key in report.keys]
    rows += [("uses", _use(name)) for name in report.uses]
    for name, text in rows:
        yield [Span(f"  {name:<11}", "bold"), Span(text)]
    for problem in report.problems:
        yield [Span("  ! ", "yellow"), Span(problem)]
    for missing in report.missing:
        yield [
            Span("  - ", "dim"),
            Span(f"no {WRITES[missing]}"),
            Span(f"  --add {missing}", "dim"),
        ]


def document_of(report: Report, set_keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the report as a document."""
    command, container, server = report.command, report.container, report.server
    return {
        "entry": {
            "kind": report.entry.kind.name.lower(),
            "file": report.entry.file,
            "line": report.entry.line,
            "variable": report.entry.variable,
        },
        "folder": command.folder,
        "command": command.line,
        "port": command.port,
        "bind": command.bind,
        "requirements": report.packages.file,
        "python": report.packages.python,
        "dockerfile": {"base": container.base, "ports": container.ports} if container else None,
        "ping": {"status": report.ping, "stamped": report.stamped},
        "transports": report.transports,
        "server": server.entry.file if server else None,
        "keys": [
            {"name": each.name, "file": each.file, "line": each.line, "set": each.name in set_keys}
            for each in report.keys
        ],
        "uses": {name: list(SERVICES[name].actions) for name in report.uses},
        "problems": report.problems,
        "missing": [missing.value for missing in report.missing],
    }


def _packages(report: Report) -> str:
    if not report.packages.file:
        return "none listed"
    python = f"   Python {report.packages.python}" if report.packages.python else ""
    return f"{report.packages.file}{python}"


def _server(report: Report) -> str:
    server = report.server
    return f"{server.entry}   {server.command.line}" if server else "none"


def _ping(report: Report) -> str:
    if report.entry.kind == Kind.SDK:
        return "answered by AWS's SDK"
    if not report.ping:
        return "nothing answers it" if Missing.APP in report.missing else "not known"
    stamp = "with" if report.stamped else "without"
    return f'"{report.ping}", {stamp} the time of its last change'


def _key(name: str, where: str, set_keys: Mapping[str, str]) -> str:
    return f"{name}   {'set' if set_keys.get(name) else 'NOT SET'} ({where})"


def _use(name: str) -> str:
    service = SERVICES[name]
    calls = ", ".join(action.partition(":")[2] for action in service.actions)
    return f"{name}: {service.title} ({calls})"
