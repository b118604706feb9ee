"""Generated agents hold a spoken conversation with fakes of the AWS models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.generated.models.agent import Agent, Running, call, running, texts
from tests.generated.models.caller import EIGHT
from tests.standins.models import Models, Script, Turn, serve
from tests.standins.models.speech import say
from voicecore.contract.traced_calls import TracedCall, calls_of
from voicecore.local.trace_reader import read

OPEN = Turn(
    "Are you open on Sunday?",
    "Yes, on Sunday. From noon to four.",
    "opening_hours",
    {"day": "Sunday"},
)
STORY = " ".join(["That is a long story."] * 6)
RAIN = Turn("The rain in Spain stays mainly in the plain.", STORY)
NAME = Turn("What is my name?", "Your name is Ada.")
SCRIPT = Script((OPEN, RAIN, NAME))
FIRST_LINE = "    day = day.strip().title()\n"
FALLBACK = 4  # s; Pipecat's own fallback ends a turn after 5 s of silence


@pytest.mark.parametrize("pipeline", ["nova-sonic", "cascade"])
def test_conversation_with_tool_and_interruption(
    agents: Mapping[str, Agent], pipeline: str, tmp_path: Path
) -> None:
    agent = agents[pipeline].copy(tmp_path / "agent")
    if pipeline == "cascade":
        wait_long_for_transcribe(agent)
    folder = tmp_path / "traces"
    run, models = asyncio.run(talk(agent, TRACES_FOLDER=str(folder)))
    (traced,) = calls_of(read(folder))
    check_trace(traced, run, one_model=pipeline == "nova-sonic")

    assert run.noise == []  # every line is JSON
    assert run.errors == []
    assert models.journal.refusals == []

    (started,), (ended,) = run.events("session_started"), run.events("session_ended")
    assert (started["transport"], started["resumed"]) == ("websocket", False)
    assert ended["turns"] == 3
    assert {line["session_id"] for line in run.lines if line["event"] != "log"} == {"test-session"}

    assert texts(run.events("user_said")) == [OPEN.heard, RAIN.heard, NAME.heard]
    _, answer, interrupted, last = run.events("agent_said")
    assert answer["text"] == OPEN.says
    assert interrupted["interrupted"] and len(interrupted["text"]) < len(STORY)
    assert last["text"] == NAME.says
    assert [line["turn"] for line in run.events("user_said")] == [1, 2, 3]
    assert [line["turn"] for line in run.events("latency")] == [1, 2, 3]
    (tool,) = run.events("tool_call")
    assert (tool["turn"], tool["name"], tool["arguments"]) == (1, OPEN.tool, OPEN.arguments)

    assert "noon to 4 PM" in tool_result(models)
    assert system_prompts(models)
    if pipeline == "cascade":
        assert max(waits(models)) < FALLBACK
    else:
        (opened,) = models.journal.find("nova-sonic", "opened")
        assert opened.detail["model"] == "amazon.nova-2-5-sonic"


def check_trace(traced: TracedCall, run: Running, one_model: bool) -> None:
    """Compare the trace with what the log says of the same call."""
    assert (traced.session, traced.transport, traced.is_whole) == (
        "test-session",
        "websocket",
        True,
    )
    assert traced.error is None and min(traced.tokens) > 0
    greeting, *turns = traced.turns
    said = [turn.span.attributes["output"] for turn in (greeting, *turns)]
    assert said == texts(run.events("agent_said"))
    assert [turn.number for turn in turns] == [1, 2, 3]
    assert [turn.span.attributes["transcript"] for turn in turns] == texts(run.events("user_said"))
    assert [turn.span.attributes["turn.was_interrupted"] for turn in turns] == [False, True, False]
    for turn, latency in zip(turns, run.events("latency"), strict=True):
        # The log's clock is read behind the pipeline: later, on a machine that has much to do.
        assert turn.latency == pytest.approx(latency["total_ms"] / 1000, abs=0.5)
    tool = f"execute_tool {OPEN.tool}"
    expected = {"speech", "llm", tool, "playback"}
    expected |= set() if one_model else {"endpointing", "stt", "turn_detection", "tts"}
    names = [part.name for part in turns[0].parts]
    assert set(names) == expected and names.count("llm") == 2
    (called,) = (part for part in turns[0].parts if part.name == tool)
    assert json.loads(called.attributes["gen_ai.tool.call.arguments"]) == OPEN.arguments
    (logged,) = run.events("tool_call")
    assert called.seconds == pytest.approx(logged["ms"] / 1000, abs=0.5)


GOODBYE = "Thank you for calling. This is the end of our conversation. Goodbye, my friend."
HANG_UP = f"""
    from pipecat.frames.frames import EndWorkerFrame
    from pipecat.processors.frame_processor import FrameDirection

    await params.llm.push_frame(TTSSpeakFrame("{GOODBYE}"))
    await params.llm.push_frame(EndWorkerFrame(), FrameDirection.UPSTREAM)
    return
"""


def test_short_answer_and_the_last_words_are_heard(
    agents: Mapping[str, Agent], tmp_path: Path
) -> None:
    """The caller says "Eight."; the agent says goodbye, and hangs up."""
    agent = agents["cascade"].copy(tmp_path / "agent")
    bot = agent.folder / "bot.py"
    assert bot.read_text().count(FIRST_LINE) == 1
    bot.write_text(bot.read_text().replace(FIRST_LINE, HANG_UP + FIRST_LINE))

    async def last_words() -> bytes:
        script = Script((Turn("Eight.", "", OPEN.tool, OPEN.arguments),))
        async with serve(script) as models, running(agent, models) as run, call(run) as caller:
            await caller.until(lambda: caller.messages("bot-stopped-speaking"))
            asked = await caller.say(EIGHT)
            assert await caller.closed() == 1000
            assert texts(run.events("user_said")) == ["Eight."]
            return caller.sound(asked)

    said = audible_seconds(say(GOODBYE, 16_000), 16_000)
    assert audible_seconds(asyncio.run(last_words()), 24_000) == pytest.approx(said, abs=0.05)


def audible_seconds(pcm: bytes, rate: int) -> float:
    """Return the time from the first audible sample to the last."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 300)
    return float(loud[-1] - loud[0]) / rate


async def talk(agent: Agent, **variables: str) -> tuple[Running, Models]:
    """Hear the greeting, ask a question that needs a tool, and interrupt a long story."""
    async with serve(SCRIPT) as models, running(agent, models, **variables) as run:
        async with call(run, "test-session") as caller:
            await caller.until(lambda: caller.messages("bot-ready"))
            await caller.until(lambda: caller.messages("bot-stopped-speaking"))
            assert caller.speech_seconds() > 0.5  # the greeting

            asked = await caller.say("open-on-sunday")
            await caller.until(lambda: len(caller.messages("bot-stopped-speaking")) == 2)
            assert caller.speech_seconds(asked) > 1
            finals = [m["text"] for m in caller.messages("user-transcription") if m["final"]]
            assert finals == [OPEN.heard]
            (tool,) = caller.messages("server-message", "tool_call")
            assert tool["name"] == OPEN.tool
            (latency,) = caller.messages("server-message", "latency")
            assert latency["turn"] == 1 and latency["total_ms"] > 0
            assert all(stage["label"] and stage["ms"] >= 0 for stage in latency["stages"])

            asked = await caller.say("rain-in-spain")
            await caller.until(lambda: caller.speech_seconds(asked) > 2)
            before = caller.interruptions()
            interrupted = await caller.say("what-is-my-name")
            await caller.until(lambda: caller.interruptions() > before)
            await caller.until(lambda: caller.speech_seconds(interrupted) > 0.5)
            await caller.until(lambda: len(caller.messages("server-message", "latency")) == 3)
            await caller.until(lambda: len(run.events("agent_said")) == 4)
        await run.until("session_ended")
        return run, models


def wait_long_for_transcribe(agent: Agent) -> None:
    """Change how long the agent waits for more transcripts."""
    source = agent.folder / "internal" / "aws_services.py"
    text = source.read_text()
    default = "super().__init__(region=region)"
    assert default in text, f"{source} no longer has {default}"
    source.write_text(text.replace(default, "super().__init__(region=region, ttfs_p99_latency=60)"))


def waits(models: Models) -> list[float]:
    """Return the seconds from each final result of Transcribe to its request to the LLM."""
    finals = [e.at for e in models.journal.find("transcribe", "heard")]
    requests = [e.at for e in models.journal.find("converse", "asked")]
    return [min(at for at in requests if at > final) - final for final in finals]


def tool_result(models: Models) -> str:
    """Return the tool results that the models received, as JSON."""
    results = [e.detail["content"] for e in models.journal.find("nova-sonic", "toolResult")]
    bodies = [json.loads(e.detail["body"]) for e in models.journal.find("converse", "asked")]
    blocks = [block for body in bodies for block in body["messages"][-1]["content"]]
    return json.dumps(results + [block for block in blocks if "toolResult" in block])


def system_prompts(models: Models) -> list[str]:
    """Return the system prompts that the models received."""
    starts = models.journal.find("nova-sonic", "contentStart")
    bodies = [json.loads(e.detail["body"]) for e in models.journal.find("converse", "asked")]
    return [e.detail["role"] for e in starts if e.detail["role"] == "SYSTEM"] + [
        block["text"] for body in bodies for block in body["system"]
    ]
