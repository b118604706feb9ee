"""`voicecore traces --local`: the calls of `dev`, and the reason if nothing was traced."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Result, Voicecore
from voicecore.console.errors import ExitCode
from voicecore.options.traces import local_sessions

SESSION = "3f9c2a71-0000-4000-8000-000000000001"
NOW = time.time()


def line(
    name: str, id: str, parent: str, start: float, end: float, session: str = SESSION,
    error: Any = "", **attributes: Any,
) -> str:  # fmt: skip
    """Return a span as OpenTelemetry's SDK writes it; times are seconds from NOW."""
    times = (datetime.fromtimestamp(NOW + at, UTC).isoformat() for at in (start, end))
    status = {"status_code": "ERROR", "description": error} if error else {"status_code": "UNSET"}
    return json.dumps(
        {
            "name": name,
            "context": {"trace_id": f"0x{session[:4]}", "span_id": id, "trace_state": "[]"},
            "parent_id": parent or None,
            **dict(zip(("start_time", "end_time"), times, strict=True)),
            "status": status,
            "attributes": {"session.id": session, **attributes},
        }
    )


CALL = [
    line("playback", "g", "0", -29, -28),
    line("turn", "0", "c", -30, -28, **{"turn.number": 0, "output": "Hello!"}),
    line("speech", "s", "1", -20, -19),
    line("stt", "r", "1", -19, -18.7, **{"transcript": "When do you open?"}),
    line("llm", "l", "1", -18.6, -18, **{"metrics.ttfb": 0.4, "gen_ai.usage.input_tokens": 30}),
    line("execute_tool opening_hours", "x", "1", -18, -17.9,
         error="no network", **{"gen_ai.tool.call.arguments": '{"day": "Sunday"}'}),
    line("turn", "1", "c", -20, -16, **{
        "turn.number": 1, "turn.user_bot_latency_seconds": 1.25, "turn.was_interrupted": True,
        "transcript": "When do you open?", "output": "Sorry",
    }),
    line("conversation", "c", "", -31, -10, transport="websocket", reason="client left"),
]  # fmt: skip


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    assert voicecore("init", "line", "--pipeline", "offline", "--yes").code == 0
    return tmp_path / "line"


@pytest.fixture
def traces(voicecore: Voicecore, project: Path) -> Callable[..., Result]:
    """Run `voicecore traces --local`."""
    return lambda *flags: voicecore("traces", "--local", *flags, cwd=project)


def write(project: Path, *lines: str, name: str = "a") -> None:
    folder = project / ".voicecore/traces"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(f"{each}\n" for each in lines))


def test_calls_are_listed_with_the_newest_last(
    project: Path, traces: Callable[..., Result]
) -> None:
    killed = line("turn", "1", "c", -5, -4, "77777777", **{"turn.number": 1})
    write(project, *CALL)
    write(project, killed, name="b")
    shown = traces()
    assert shown.code == ExitCode.OK
    _, first, second = shown.stdout.splitlines()
    assert first.startswith("3f9c2a71  ") and first.endswith("client left  failed: no network")
    assert " 21 s      1   1.25 s   1.25 s       30  " in first
    assert second.startswith("77777777  ") and second.endswith("not ended, or killed")
    assert "voicecore traces 77777777 --local" in shown.stderr


def test_call_is_shown_as_a_tree_with_its_slowest_part(
    project: Path, traces: Callable[..., Result]
) -> None:
    write(project, *CALL)
    shown = traces("3f9c").stdout.splitlines()
    assert shown[0].startswith(f"{SESSION}  over websocket · ")
    assert "30 tokens in, 0 out" in shown[0]
    assert "turn 0  +1.00 s" in shown and "  agent  Hello!" in shown
    assert "turn 1  +11.00 s · answered after 1.25 s · interrupted" in shown
    (slowest,) = (row for row in shown if "slowest" in row)
    assert slowest.split()[0] == "llm" and "first output 0.40 s" in slowest
    tool = next(n for n, row in enumerate(shown) if "execute_tool" in row)
    assert '{"day": "Sunday"}' in shown[tool] and shown[tool + 1].strip() == "no network"


def test_one_turn_and_json(project: Path, traces: Callable[..., Result]) -> None:
    write(project, *CALL)
    assert "turn 0" not in traces(SESSION, "--turn", "1").stdout
    document = traces("3f9c", "--turn", "1", "--json").json
    assert (document["session"], document["transport"]) == (SESSION, "websocket")
    (turn,) = document["turns"]
    assert (turn["turn"], turn["latency_seconds"], turn["error"]) == (1, 1.25, "no network")
    assert [part["name"] for part in turn["parts"] if part["slowest"]] == ["llm"]
    assert turn["parts"][1]["offset_seconds"] == 1
    listed = traces("--json").json["calls"]
    assert [(each["session"], each["turns"]) for each in listed] == [(SESSION, 1)]


def test_filters_of_time_and_errors(project: Path, traces: Callable[..., Result]) -> None:
    good = line("turn", "1", "c", -5, -4, "77777777", **{"turn.user_bot_latency_seconds": 2})
    write(project, *CALL, good)
    for flags, sessions in (
        (["--slow", "1.5s"], ["77777777"]),
        (["--slow", "1200ms"], [SESSION, "77777777"]),
        (["--errors"], [SESSION]),
    ):
        found = traces(*flags, "--json").json["calls"]
        assert [each["session"] for each in found] == sessions
    assert "No call since 1d matches" in traces("--slow", "9s").stderr
    assert "None of its 2 turns matches" in traces("3f9c", "--slow", "9s").stderr


def test_line_cut_off_by_a_full_disk_is_left_out(
    project: Path, traces: Callable[..., Result]
) -> None:
    write(project, CALL[0][:50], *CALL[1:6], CALL[6], CALL[7][:90])
    shown = traces("3f9c")
    assert "turn 1" in shown.stdout
    assert "its last turn may be missing" in shown.stderr


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        (["--turn", "1"], "no call is given", "voicecore traces --local"),
        (["--slow", "fast"], "'fast' is not a time", "--slow 800ms"),
        (["--since", "yesterday"], "'yesterday' is not a time", "--since 90s"),
        (["3f9c", "--turn", "9"], "has no turn 9; its turns: 0, 1", "leave out --turn"),
        (["9999"], "no trace of a session '9999' since 1d.", "voicecore traces --local"),
        (["9999"], "no trace of a session '9999'", "--since 1w"),
        ([SESSION[0]], "2 sessions begin with '3'", "3fffffff"),
    ],
)
def test_mistakes_are_answered_with_what_to_type(
    project: Path, traces: Callable[..., Result], flags: list[str], message: str, hint: str
) -> None:
    write(project, *CALL, line("turn", "1", "c", -5, -4, "3fffffff"))
    refused = traces(*flags)
    assert refused.code != ExitCode.OK and refused.stdout == ""
    assert message in refused.stderr and hint in refused.stderr
    assert "error" in traces(*flags, "--json").json


def test_session_with_a_log_and_no_trace(project: Path, traces: Callable[..., Result]) -> None:
    write(project, *CALL)
    log = project / ".voicecore/logs/2026/11/30/[runtime-logs-8888]unique"
    log.parent.mkdir(parents=True)
    log.write_text("{}\n")
    assert "but a log: it is still in its first turn" in traces("8888").stderr


def test_nothing_was_traced(project: Path, traces: Callable[..., Result]) -> None:
    assert "voicecore talk" in traces().stderr
    packages = project / "agent/pyproject.toml"
    packages.write_text(packages.read_text().replace("traces = [", "others = ["))
    old = traces()
    assert "no group `traces`" in old.stderr and "voicecore update" in old.stderr
    settings = project / "voicecore.toml"
    foreign = settings.read_text().replace('"offline"', '"custom"')
    settings.write_text(f'{foreign}\n[agent]\ncommand = "python bot.py"\n')
    assert "was not made by voicecore" in traces().stderr


def test_shell_completes_local_sessions(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, *CALL, line("turn", "1", "c", -5, -4, "77777777"))
    monkeypatch.chdir(project)
    assert local_sessions() == ["77777777", SESSION]
