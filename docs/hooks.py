"""Generates the reference pages of the site from the code, while MkDocs builds it.

A page marks a place by `<!-- generate: NAME -->`; GENERATORS has what goes there. A page that has
`<!-- include: FILE -->` shows a file of the repository's root. What the code knows (options, keys,
codes, events, routes) comes from the code; what each means is written here, and a difference
between the two fails the build.
"""

from __future__ import annotations

import ast
import functools
import html
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the floors of the architecture are defined by a test

from tests.unit.test_layers import FLOORS  # noqa: E402 - found by the line above
from voicecore.cli.app import app  # noqa: E402
from voicecore.cloud.deploy.prices import prices  # noqa: E402
from voicecore.console.errors import ExitCode  # noqa: E402
from voicecore.project.project import Project  # noqa: E402

_MARK = re.compile(r"<!-- (generate|include): (\S+) -->")


class OutOfDate(Exception):
    """The code has something that this file does not describe, or the other way round."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the marks of a page; MkDocs calls this for each."""
    return _MARK.sub(
        lambda mark: GENERATORS[mark[2]]() if mark[1] == "generate" else _included(mark[2]),
        markdown,
    )


def _included(name: str) -> str:
    """Return a file of the root, with its links to docs/ and to the root as links between pages."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for file, page in _PAGES.items():
        text = text.replace(f"]({file})", f"]({page})")
    return text.replace("](docs/", "](")


_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security-policy.md",
}


def _same(what: str, code: set[str], described: set[str]) -> None:
    if missing := code - described:
        raise OutOfDate(f"docs/hooks.py does not describe these {what}: {sorted(missing)}")
    if extra := described - code:
        raise OutOfDate(f"docs/hooks.py describes {what} that do not exist: {sorted(extra)}")


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
                     for line in lines)  # fmt: skip


# Commands


def commands() -> str:
    """Return every command with its arguments and options."""
    root = typer.main.get_command(app)
    context = root.make_context("voicecore", [], resilient_parsing=True)
    return "\n\n".join(_command(each) for each in _leaves(context))


def _leaves(context: Any) -> Iterator[Any]:
    """Yield the contexts of all commands that are not groups; typer brings a click of its own."""
    if not hasattr(context.command, "list_commands"):
        yield context
        return
    for name in context.command.list_commands(context):
        child = context.command.get_command(context, name)
        yield from _leaves(child.make_context(name, [], context, resilient_parsing=True))


def _command(context: Any) -> str:
    command = context.command
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\nExamples:\n")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"## {context.command_path}",
        html.escape(text.replace("\b", "").strip(), quote=False),
        f"```text\n{usage}\n```",
        _table(("option", "meaning"), (_parameter(each, context) for each in command.params)),
    ]
    if examples:
        parts.append(f"```sh\n{inspect.cleandoc(examples)}\n```")
    return "\n\n".join(parts)


def _parameter(parameter: Any, context: Any) -> tuple[str, str]:
    """Return name and help of an option or argument, as `--help` shows them."""
    name, text = parameter.get_help_record(context)
    return f"`{name.strip()}`", html.escape(" ".join(text.split()), quote=False)


# voicecore.toml


def settings() -> str:
    """Return the keys of every table of voicecore.toml."""
    parts: list[str] = []
    for table, meanings in _SETTINGS.items():
        defaults = _defaults().get(table)
        if defaults is not None:
            _same(f"keys of [{table}] in voicecore.toml", set(defaults), set(meanings))
        rows = (
            (f"`{key}`", default or _shown((defaults or {}).get(key)), meaning)
            for key, (default, meaning) in meanings.items()
        )
        parts.append(f"## [{table}]" if table else "## Top level")
        parts.append(_table(("key", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _defaults() -> dict[str, dict[str, object]]:
    """Return key and default of the tables that Project holds as values."""
    types = get_type_hints(Project)
    stage = get_args(types["stages"])[1]
    tables = {
        "vpc": types["vpc"],
        "turn": types["turn"],
        "server": get_type_hints(stage)["server"],
        "stages.NAME": stage,
    }
    return {
        table: {field.name: field.default for field in fields(kind) if field.name != "name"}
        for table, kind in tables.items()
    }


def _shown(default: object) -> str:
    return f"`{str(default).lower()}`" if isinstance(default, int) else ""


@functools.cache
def _options() -> dict[str, list[dict[str, Any]]]:
    """Return what `voicecore init` lets one choose: transports, pipelines and providers."""
    argv = [sys.executable, "-m", "voicecore", "init", "--list-options"]
    return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)


def _names(kind: str) -> list[str]:
    return [record["name"] for record in _options()[kind]]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


_SETTINGS: dict[str, dict[str, tuple[str, str]]] = {
    "": {
        "name": ("required", "Name of the project: a-z, 0-9 and single hyphens."),
        "id": ("", "Tells the project's resources from another's of its name; `init` makes it."),
        "transports": ("required", f"List of {_listed(_names('transports'))}."),
        "pipeline": ("required", f"One of {_listed(_names('pipelines'))}."),
        "region": ("required", "AWS region of the stages that name none of their own."),
        "services": ("", "Table: the service of each stage of the pipeline `cascade`."),
        "voicecore": ("", "Version of voicecore that created the project."),
        "account": ("any", "The only AWS account to deploy to, as 12 digits in quotes."),
        "platform": (
            "`v1`",
            "AgentCore's platform: `v2` starts sessions from a snapshot, `v1` boots each one.",
        ),
        "network": (
            "`vpc` for `webrtc` and `daily`, else `public`",
            "`public`: AgentCore's own network. `vpc`: a network of your own.",
        ),
        "vpc": ("", "Table: the network, if `network` is `vpc`."),
        "turn": ("", "Table: the TURN source, for `webrtc`."),
        "telephony": ("", "Table: the phone providers, for `telephony`."),
        "server": ("", "Table: the session server, if it carries phone calls."),
        "stages": ("`dev`", "Tables, one for each stage."),
    },
    "vpc": {
        "subnets": ("", "IDs of your own private subnets. Without: voicecore makes a VPC."),
        "security_groups": ("", "IDs of your own security groups; needed with `subnets`."),
        "ha": ("", "One NAT gateway for each availability zone of voicecore's VPC."),
    },
    "turn": {
        "source": ("`kvs`", "TURN source; see [Choose a TURN source](../turn.md)."),
        "peak_calls": ("", "Calls at the same time; sets the number of KVS channels."),
    },
    "telephony": {
        "providers": ("required", f"List of {_listed(_names('providers'))}."),
    },
    "server": {
        "domain": ("a CloudFront name", "Host name under which phone providers call the server."),
        "concurrency": (
            "",
            "Requests that a server on Lambda answers at once: the most that a flood makes you pay "
            "for. Not reserved if the account has too few.",
        ),
        "certificate": (
            "",
            "ARN of the ACM certificate for `domain`, in the region of the stage.",
        ),
        "peak_calls": ("", "Calls at the same time; one task for every 25."),
        "drain_minutes": (
            "",
            "How long an update leaves open calls on the old server; 0 cuts them.",
        ),
    },
    "stages.NAME": {
        "region": ("`region`", "AWS region of the stage."),
        "account": ("`account`", "The only AWS account to deploy the stage to."),
        "platform": ("`platform`", "AgentCore's platform of the stage: `v1` or `v2`."),
        "idle_timeout": (
            "",
            "Seconds without a call after which AgentCore ends a session (60 to 28800).",
        ),
        "max_lifetime": ("", "Seconds after which AgentCore ends a session (60 to 28800)."),
        "log_retention_days": ("", "Days that CloudWatch keeps the logs."),
        "server": ("`[server]`", "Table: settings of `[server]` for this stage."),
    },
}


# Exit codes


def exit_codes() -> str:
    """Return the exit codes."""
    _same("exit codes", {code.name for code in ExitCode}, set(_EXIT_CODES))
    return _table(
        ("code", "name", "meaning"),
        ((f"`{code.value}`", f"`{code.name}`", _EXIT_CODES[code.name]) for code in ExitCode),
    )


_EXIT_CODES = {
    "OK": "The command did what it says.",
    "FAILED": "The command failed; the message says why.",
    "USAGE": "An option or argument is not valid.",
    "BAD_PROJECT": "`voicecore.toml` is missing or not valid.",
    "MISSING_TOOL": "A tool is missing; the message says how to install it.",
    "AWS_REFUSED": "AWS refused a request; the message quotes AWS.",
    "NOT_DEPLOYED": "The stage is not deployed.",
    "INTERRUPTED": "The command was interrupted (Ctrl-C or SIGTERM).",
}


# Log events: from the `write("event", field=...)` calls of generated projects


def agent_events() -> str:
    """Return the events that generated agents write."""
    return _events("agent", _AGENT_EVENTS)


def server_events() -> str:
    """Return the events that generated session servers write."""
    return _events("server", _SERVER_EVENTS)


def _events(part: str, meanings: Mapping[str, str]) -> str:
    found: dict[str, set[str]] = {}
    for project in _projects().iterdir():
        for path in sorted((project / part).rglob("*.py")):
            if "tests" not in path.parts:
                for event, fields in _written_in(path):
                    found.setdefault(event, set()).update(fields)
    _same(f"events of the {part}", set(found), set(meanings))
    return _table(
        ("event", "fields", "when"),
        (
            (f"`{event}`", ", ".join(f"`{field}`" for field in sorted(found[event])), meaning)
            for event, meaning in meanings.items()
        ),
    )


def _written_in(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield event and fields of every call of `write` in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if ast.unparse(node.func) != ("write" if path.name == "logs.py" else "logs.write"):
            continue
        fields = {keyword.arg for keyword in node.keywords if keyword.arg} - {"level"}
        for keyword in node.keywords:
            if not keyword.arg and isinstance(keyword.value, ast.Call):  # **spoken(text=...)
                fields |= {inner.arg for inner in keyword.value.keywords if inner.arg}
        match node.args[0]:
            case ast.Constant(value=str() as event):
                yield event, fields
            case ast.JoinedStr(values=[ast.Constant(value="session_"), _]):
                yield "session_started", fields
                yield "session_resumed", fields


_AGENT_EVENTS = {
    "ready": "The pipeline is loaded: `seconds` since the start, `peak_mb` of memory.",
    "session_started": "A caller is connected; `resumed` if the session has a history.",
    "user_said": "The caller has spoken. `text` is left out with `LOG_TRANSCRIPTS=false`.",
    "agent_said": "The agent has spoken; `interrupted` if the caller cut it short.",
    "latency": "`total_ms` from the caller's last word to the agent's first, and its `stages`.",
    "tool_call": "A tool has run for `ms`.",
    "session_ended": "The conversation is over, with its `reason`.",
    "session_not_stopped": "The agent could not stop its session at AgentCore.",
    "call_refused": "A connection did not begin as a phone call does.",
    "connection_refused": "A caller used a URL of a session that had ended.",
    "offer_refused": "A WebRTC offer cannot become a call; `code` and `reason` say why.",
    "room_refused": "The agent could not join a Daily room.",
    "room_left": "The agent has left a Daily room.",
    "ipv6_relay": "The agent reaches Daily's TURN servers through its IPv6 relay.",
    "log": "A message of a library, with its `logger`.",
}

_SERVER_EVENTS = {
    "session_started": "A caller got a session.",
    "session_resumed": "A caller came back to a session.",
    "session_stopped": "A caller ended a session.",
    "session_not_stopped": "AgentCore did not stop a session.",
    "invite_revoked": "An invite was revoked; `invite` is its ID.",
    "call_answered": "A provider was told to connect a phone call.",
    "call_placed": "An outbound phone call was placed.",
    "call_status": "A provider reported the status of a phone call.",
    "call_ended": "A phone call is over after `seconds`; `by` says which side ended it.",
    "call_refused": "A phone call was refused; `why` says the reason.",
    "call_not_ended": "A provider did not end a phone call.",
    "media_refused": "A media socket had no valid ticket or signature.",
    "webhook_refused": "A webhook had no valid signature.",
    "agent_unreachable": "AgentCore did not connect a phone call to the agent.",
    "draining": "The server was told to end and waits for `calls` open calls.",
    "daily_refused": "Daily refused a request.",
    "room_not_closed": "Daily did not delete a room.",
    "issuer_unreachable": "The issuer of the callers' JWTs did not answer.",
    "aws_refused": "AWS refused a request.",
    "failed": "A request failed; the caller got an error without details.",
    "log": "A message of a library.",
}


# HTTP API: from the OpenAPI document of a generated session server


def http_api() -> str:
    """Return the routes of the session server."""
    document = _openapi()
    routes = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    _same("routes of the session server", set(routes), set(_ROUTES))
    schemas = document["components"]["schemas"]
    parts: list[str] = []
    for route, meaning in _ROUTES.items():
        operation = routes[route]
        parts += [f"## {route}", meaning]
        if body := _body_of(operation.get("requestBody", {}), schemas):
            parts += [f"Request body: `{body}`", _fields(schemas[body])]
        answer = operation["responses"].get("200", {})
        if name := _body_of(answer, schemas):
            parts += [f"Response: `{name}`", _fields(schemas[name])]
        codes = ", ".join(f"`{code}`" for code in sorted(operation["responses"]))
        parts.append(f"Status codes: {codes}")
    return "\n\n".join(parts)


def _body_of(content: dict[str, Any], schemas: dict[str, Any]) -> str:
    text = json.dumps(content)
    names = re.findall(r"#/components/schemas/(\w+)", text)
    return next((name for name in names if "properties" in schemas[name]), "")


def _fields(model: dict[str, Any]) -> str:
    required = set(model.get("required", ()))
    rows = [
        (
            f"`{name}`",
            _type_of(field),
            f"{'Required. ' * (name in required)}{field.get('description', '')}".strip(),
        )
        for name, field in model["properties"].items()
    ]
    shown = 3 if any(row[2] for row in rows) else 2
    return _table(("field", "type", "notes")[:shown], (row[:shown] for row in rows))


def _type_of(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "anyOf" in field:
        return " or ".join(_type_of(each) for each in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type_of(field['items'])}"
    return field.get("type", "any")


_ROUTES = {
    "POST /start": "Start a session, or resume one with its `sessionId` and `token`. Needs "
    "`Authorization: Bearer` with the key, an invite or a JWT.",
    "GET /sessions/{session_id}": "Show a session. Needs its token as `X-Session-Token`.",
    "DELETE /sessions/{session_id}": "End a session. Needs its token as `X-Session-Token`.",
    "POST /sessions/{session_id}/api/offer": "Answer a WebRTC offer. Needs the session's token, "
    "or the key.",
    "PATCH /sessions/{session_id}/api/offer": "Add ICE candidates to a WebRTC call. Needs the "
    "session's token, or the key.",
    "DELETE /invites/{invite_id}": "Revoke an invite. Needs the key.",
    "POST /phone/calls": "Place an outbound phone call. Needs the key.",
    "GET /phone/calls/{call_id}": "Show a phone call. Needs the key.",
    "DELETE /phone/calls/{call_id}": "End a phone call. Needs the key.",
    "POST /phone/calls/{call_id}/transfer": "Transfer a phone call to a number. Needs the key.",
    "POST /daily/calls": "Let the agent call a number or SIP address through Daily. Needs the key.",
    "POST /daily/dialin": "Webhook of Daily for inbound phone calls. Needs Daily's signature.",
    "GET /config": "Show the name of the project and the transports of the page.",
    "GET /health": "Say that the server takes callers; 503 while it drains.",
    "GET /metrics": "Show metrics in Prometheus format. Needs the key.",
}

_OPENAPI = """
import json, os
from internal import server
print(json.dumps(server.create_app(os.environ).openapi()))
"""


@functools.cache
def _openapi() -> dict[str, Any]:
    env = {
        **os.environ,
        "SESSION_API_KEY": "a-key-that-exists-only-for-the-docs",
        "AGENT_RUNTIME_ARN": "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/docs-abcdef",
        "AWS_REGION": "us-east-1",
        "PUBLIC_URL": "https://phone.example.com",
        "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
        "TWILIO_AUTH_TOKEN": "token",
        "DAILY_API_KEY": "key",
    }
    shown = subprocess.run(
        ["uv", "run", "--quiet", "--project", ".", "python", "-c", _OPENAPI],
        cwd=_projects() / "offline/server", env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(shown.stdout)


_folders: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def _projects() -> Path:
    """Return a folder with a project of each pipeline, each with every transport."""
    folder = tempfile.TemporaryDirectory()
    _folders.append(folder)  # removed when MkDocs ends
    transports = [part for name in _names("transports") for part in ("--transport", name)]
    for pipeline in _names("pipelines"):
        subprocess.run(
            [sys.executable, "-m", "voicecore", "init", pipeline, "--pipeline", pipeline,
             *transports, "--provider", "twilio", "--directory", folder.name, "--yes"],
            check=True, capture_output=True,
        )  # fmt: skip
    return Path(folder.name)


# Phone providers


def phone_providers() -> str:
    """Return what each phone provider needs, and what to type there."""
    return "\n\n".join(_provider(record) for record in _options()["providers"])


def _provider(record: dict[str, Any]) -> str:
    title, calling = record["title"], record["calling"]
    outbound = f" For outbound calls also {_listed(calling)}." if calling else ""
    fields = (
        (field["title"], f"`{_address(record['name'], field)}`", field["method"])
        for field in record["fields"]
    )
    parts = [
        f"### {title}",
        f"Variables in `server/.env`: {_listed(record['secrets'])}.{outbound}",
        f"Proof of origin: {record['proof']}.",
        f"Settings at {title} ({record['place']}):",
        _table(("field", "value", "method"), fields),
        f"Also select *{record['also']}*." if record["also"] else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _address(provider: str, field: dict[str, Any]) -> str:
    login = f"{field['login']}@" if field["login"] else ""
    return f"https://{login}phone.example.com/phone/{provider}{field['path']}"


# Prices


def list_prices() -> str:
    """Return the prices that estimates are made from."""
    return _table(
        ("item", "$", "per", "source"),
        (
            (
                key if price.confirmed else f"{key} (unverified)",
                f"{price.dollars:.10f}".rstrip("0").rstrip("."),
                price.unit,
                f"[{price.source}]({price.url}), {price.date}",
            )
            for key, price in prices().items()
        ),
    )


# Architecture


def calls() -> str:
    """Return the picture of a call, inline so that it follows the site's palette."""
    return _picture((ROOT / "docs/calls.svg").read_text(encoding="utf-8").strip())


def floors() -> str:
    """Return the floors of the code as a picture that follows the site's palette."""
    width, height, gap = 720, 40, 10
    shapes: list[str] = []
    for number, packages in enumerate(_floors()):
        wide = (width - gap * (len(packages) - 1)) / len(packages)
        for place, name in enumerate(packages):
            x, y = place * (wide + gap), number * (height + gap) + 1
            shapes.append(
                f'<rect x="{x + 1:.0f}" y="{y}" width="{wide - 2:.0f}" height="{height}" rx="6"/>'
                f'<text x="{x + wide / 2:.0f}" y="{y + 25}" text-anchor="middle" font-size="15">'
                f"{name}</text>"
            )
    tall = len(_floors()) * (height + gap)
    return _picture(
        f'<svg class="floors" viewBox="0 0 {width} {tall}" role="img" '
        f'aria-label="The floors of the code, top first">{"".join(shapes)}</svg>'
    )


def _picture(svg: str) -> str:
    return f"<div>{svg}</div>"  # Markdown leaves a div alone


def _floors() -> list[list[str]]:
    """Return the packages of each floor, top first."""
    packages = [
        sorted(name for name in floor if (ROOT / "voicecore" / name).is_dir()) for floor in FLOORS
    ]
    return [floor for floor in packages if floor]


def rooms() -> str:
    """Return what each package of voicecore owns, by its docstring."""
    names = (name for floor in _floors() for name in floor)
    return _table(("package", "owns"), ((f"`{name}`", _docstring_of(name)) for name in names))


def _docstring_of(name: str) -> str:
    source = (ROOT / "voicecore" / name / "__init__.py").read_text(encoding="utf-8")
    return " ".join((ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split())


GENERATORS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "exit-codes": exit_codes,
    "agent-events": agent_events,
    "server-events": server_events,
    "http-api": http_api,
    "phone-providers": phone_providers,
    "prices": list_prices,
    "calls": calls,
    "floors": floors,
    "rooms": rooms,
}
