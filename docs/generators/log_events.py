"""Generates the log events, from the `write("event", field=...)` calls of generated projects."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.generators.markdown import same, table
from docs.generators.projects import projects


def agent_events() -> str:
    """Return the events that generated agents write."""
    return _events("agent", _AGENT_EVENTS)


def server_events() -> str:
    """Return the events that generated session servers write."""
    return _events("server", _SERVER_EVENTS)


def _events(part: str, meanings: Mapping[str, str]) -> str:
    found: dict[str, set[str]] = {}
    for project in projects().iterdir():
        for path in sorted((project / part).rglob("*.py")):
            if "tests" not in path.parts:
                for event, fields in _written_in(path):
                    found.setdefault(event, set()).update(fields)
    same(f"events of the {part}", set(found), set(meanings))
    return table(
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
    "blocked": "The bot's function `name` held up all else for `seconds`.",
    "sound": "A sound of the caller has ended; `outcome` says what became of it (below).",
    "session_ended": "The conversation is over, with its `reason`.",
    "traces_not_written": "The agent could not make a file for traces; the call goes on.",
    "session_not_stopped": "The agent could not stop its session at AgentCore.",
    "call_refused": "A connection did not begin as a phone call does.",
    "message_dropped": "A message to the client had too many `bytes` for a WebSocket frame.",
    "frame_refused": "A WebSocket message was no frame; the socket was closed with `code`.",
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
    "invite_revoked": "An invite was revoked; `invite` is its ID, `sessions` how many were ended.",
    "call_answered": "A provider was told to connect a phone call.",
    "call_placed": "An outbound phone call was placed.",
    "call_status": "A provider reported the status of a phone call.",
    "call_ended": "A phone call is over after `seconds`; `by` says which side ended it.",
    "call_refused": "A phone call was refused; `why` says the reason.",
    "call_not_ended": "A provider did not end a phone call.",
    "media_refused": "A media socket had no valid ticket or signature.",
    "webhook_refused": "A webhook had no valid signature.",
    "agent_unreachable": "AgentCore did not connect a phone call to the agent.",
    "call_not_decoded": "A phone call has an unknown codec; the caller hears an apology.",
    "draining": "The server was told to end and waits for `calls` open calls.",
    "daily_refused": "Daily refused a request.",
    "room_not_closed": "Daily did not delete a room.",
    "issuer_unreachable": "The issuer of the callers' JWTs did not answer.",
    "aws_refused": "AWS refused a request.",
    "failed": "A request failed; the caller got an error without details.",
    "log": "A message of a library.",
}
