"""RTVI messages and the events in them."""

from typing import Any

import pytest

from voicecore.talk.transports import rtvi


def message(kind: str, **data: Any) -> dict[str, Any]:
    return {"label": "rtvi-ai", "type": kind, "data": data}


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (message("bot-ready", version="2.2.0"), rtvi.BotReady()),
        ({"label": "rtvi-ai", "type": "user-started-speaking"}, rtvi.UserStarted()),
        (message("user-stopped-speaking"), rtvi.UserStopped()),
        (message("bot-started-speaking"), rtvi.BotStarted()),
        (message("bot-stopped-speaking"), rtvi.BotStopped()),
        (message("bot-interrupted"), rtvi.BotInterrupted()),
        (message("bot-llm-started"), rtvi.BotThinking()),
        (
            message("user-transcription", text=" Hi. ", final=True),
            rtvi.UserTranscription("Hi.", True),
        ),
        (
            message("user-transcription", text="Hi", final=False),
            rtvi.UserTranscription("Hi", False),
        ),
        (message("user-transcription", text="Hi"), rtvi.UserTranscription("Hi", False)),
        (message("user-transcription", text="  ", final=True), None),
        (message("bot-output", text="Hello there."), rtvi.BotOutput("Hello there.")),
        (
            message(
                "bot-output",
                text="Hello there.",
                segment_id=7,
                spoken_progress={"accumulated_text": "Hello", "remaining_text": " there."},
            ),
            rtvi.BotOutput("Hello there.", 7, "Hello"),
        ),
        (
            message(
                "server-message",
                type="latency",
                turn=2,
                total_ms=640,
                stages=[{"key": "transcription", "label": "transcription", "ms": 470.5}],
            ),
            rtvi.AgentLatency(
                2, 640.0, (rtvi.AgentStage("transcription", "transcription", 470.5),)
            ),
        ),
        (
            message("server-message", type="tool_call", name="opening_hours", ms=3),
            rtvi.ToolCall("opening_hours", 3.0),
        ),
        (
            message("server-message", type="sound", outcome="too_short", message="say more"),
            rtvi.Sound("too_short", "say more"),
        ),
        (message("server-message", type="something else"), None),
        (
            message("error", error="out of credit", fatal=True),
            rtvi.AgentError("out of credit", True),
        ),
        (message("error", error="busy"), rtvi.AgentError("busy", False)),
        (message("error-response", error="unknown type"), rtvi.AgentError("unknown type", False)),
        (message("metrics", ttfb=[]), None),
        (
            message("user-input", input_type="chat", text="hi", final=True, msg_id="1a"),
            rtvi.TextReceived("1a"),
        ),
        (message("user-input", input_type="transcription", text="hi", final=True), None),
        (message("bot-llm-stopped"), rtvi.BotThought()),
        (message("llm-function-call-in-progress", tool_call_id="c1"), rtvi.ToolStarted("c1")),
        (message("llm-function-call-stopped", tool_call_id="c1"), rtvi.ToolStopped("c1")),
        ({"label": "another protocol", "type": "bot-ready"}, None),
        ({"label": "rtvi-ai"}, None),
        ({"label": "rtvi-ai", "type": ["bot-ready"]}, None),
        ({"label": "rtvi-ai", "type": "bot-output", "data": "text"}, None),
        (message("server-message", type="latency", stages="none"), rtvi.AgentLatency(0, 0.0, ())),
    ],
)
def test_parses_messages_as_events(body: dict[str, Any], event: rtvi.RtviEvent | None) -> None:
    assert rtvi.parse(body) == event


def test_client_ready_names_version_and_library() -> None:
    ready = rtvi.client_ready()
    assert (ready["label"], ready["type"]) == ("rtvi-ai", "client-ready")
    assert ready["data"] == {"version": "2.2.0", "about": {"library": "voicecore"}}


def test_send_text_carries_the_text() -> None:
    assert rtvi.send_text("hi")["data"] == {"content": "hi"}
