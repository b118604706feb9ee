"""A generated cascade agent holds a conversation with Transcribe, Nova 2 Lite and Polly."""

from __future__ import annotations

import asyncio
import json

from tests.generated.models.agent import Agent, Running, call, running, said
from tests.generated.models.checks import check_latency, check_lines
from tests.lab.models import Models, Script, Turn, serve

OPEN = Turn("Are you open on Sunday?", "Yes, on Sunday from noon to four.", "opening_hours",
            {"day": "Sunday"})  # fmt: skip
RAIN = Turn(
    "The rain in Spain stays mainly in the plain.", " ".join(["That is a long story."] * 12)
)
NAME = Turn("What is my name?", "Your name is Ada.")
SCRIPT = Script((OPEN, RAIN, NAME))


def test_conversation_with_a_tool_and_a_barge_in(cascade: Agent) -> None:
    async def talk() -> tuple[Running, Models]:
        async with serve(SCRIPT) as models, running(cascade, models) as run:
            async with call(run) as caller:
                await caller.until(lambda: caller.messages("bot-ready"))
                # It greets by itself.
                await caller.until(lambda: caller.messages("bot-stopped-speaking"))
                assert caller.speech_seconds() > 0.5

                asked = await caller.say("open-on-sunday")
                await caller.until(lambda: caller.speech_seconds(asked) > 1)
                await caller.until(lambda: len(caller.messages("bot-stopped-speaking")) == 2)
                words = [m["text"] for m in caller.messages("user-transcription") if m["final"]]
                assert words == [OPEN.heard]
                (tool,) = caller.messages("server-message", "tool_call")
                assert tool["name"] == "opening_hours"
                (latency,) = caller.messages("server-message", "latency")
                check_latency(latency)

                asked = await caller.say("rain-in-spain")
                await caller.until(lambda: caller.speech_seconds(asked) > 1)
                before = caller.interruptions()
                interrupted = await caller.say("what-is-my-name")
                await caller.until(lambda: caller.interruptions() > before)
                await caller.until(lambda: caller.speech_seconds(interrupted) > 0.5)
                await caller.until(lambda: len(caller.messages("server-message", "latency")) == 3)
                await caller.until(lambda: said(run.events("agent_said"))[-1:] == [NAME.says])
            await run.until("session_ended")
            return run, models

    run, models = asyncio.run(talk())
    assert said(run.events("user_said")) == [OPEN.heard, RAIN.heard, NAME.heard]
    spoken = run.events("agent_said")
    assert spoken[1]["text"] == OPEN.says
    assert spoken[2]["interrupted"] and len(spoken[2]["text"]) < len(RAIN.says)
    (tool,) = run.events("tool_call")
    assert (tool["name"], tool["arguments"]) == ("opening_hours", {"day": "Sunday"})
    check_lines(run)
    # The tool's own answer reached the model.
    bodies = [json.loads(e.detail["body"]) for e in models.journal.find("converse", "asked")]
    assert any("noon to 4 PM" in json.dumps(body["messages"][-1]) for body in bodies)
    assert all(body["system"] for body in bodies)
    assert models.journal.refusals == []
