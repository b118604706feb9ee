"""A generated nova-sonic agent talks with Nova Sonic's stand-in, past the connection limit too."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.generated.models.agent import Agent, Running, call, running, said
from tests.generated.models.checks import check_latency, check_lines
from tests.lab.models import Models, Script, Turn, serve
from tests.lab.models.world import Limits

OPEN = Turn("Are you open on Sunday?", "Yes, on Sunday. From noon to four.", "opening_hours",
            {"day": "Sunday"})  # fmt: skip
RAIN = Turn(
    "The rain in Spain stays mainly in the plain.", " ".join(["That is a long story."] * 12)
)
NAME = Turn("What is my name?", "Your name is Ada.")
SCRIPT = Script((OPEN, RAIN, NAME))


def test_conversation_with_a_tool_and_a_barge_in(nova_sonic: Agent) -> None:
    async def talk() -> tuple[Running, Models]:
        async with serve(SCRIPT) as models, running(nova_sonic, models) as run:
            async with call(run) as caller:
                await caller.until(lambda: caller.messages("bot-ready"))
                # It greets by itself.
                await caller.until(lambda: caller.messages("bot-stopped-speaking"))
                assert caller.speech_seconds() > 0.5

                asked = await caller.say("open-on-sunday")
                await caller.until(lambda: caller.speech_seconds(asked) > 1)
                await models.journal.until("nova-sonic", "spoke", 2)
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
                await caller.until(lambda: said(run.events("agent_said"))[-1:] == [NAME.says])
            await run.until("session_ended")
            return run, models

    run, models = asyncio.run(talk())
    assert said(run.events("user_said")) == [OPEN.heard, RAIN.heard, NAME.heard]
    spoken = run.events("agent_said")
    assert words(spoken[1]["text"]) == words(OPEN.says)
    assert spoken[2]["interrupted"]
    (tool,) = run.events("tool_call")
    assert (tool["name"], tool["arguments"]) == ("opening_hours", {"day": "Sunday"})
    check_lines(run)
    (result,) = models.journal.find("nova-sonic", "toolResult")
    assert "noon to 4 PM" in result.detail["content"]
    assert len(models.journal.find("nova-sonic", "interrupted")) == 1
    assert models.journal.refusals == []


def test_the_connection_limit_is_not_noticed(nova_sonic: Agent, tmp_path: Path) -> None:
    """Pipecat renews a connection after 6 minutes of AWS's 8; here after 3 seconds of 12."""
    agent = nova_sonic.copy(tmp_path / "agent")
    renew_after(agent, seconds=3)
    script = Script((NAME, OPEN, NAME))
    limits = Limits(sonic_connection=12)

    async def talk() -> tuple[Running, Models]:
        async with serve(script, limits=limits) as models, running(agent, models) as run:
            async with call(run) as caller:
                await caller.until(lambda: caller.messages("bot-stopped-speaking"))
                for turn, sample in enumerate(
                    ("what-is-my-name", "open-on-sunday", "what-is-my-name"), start=2
                ):
                    asked = await caller.say(sample)
                    await caller.until(lambda since=asked: caller.speech_seconds(since) > 0.5)
                    await models.journal.until("nova-sonic", "spoke", turn)
                    await asyncio.sleep(2)
            await run.until("session_ended")
            return run, models

    run, models = asyncio.run(talk())
    assert said(run.events("user_said")) == [NAME.heard, OPEN.heard, NAME.heard]
    answers = [words(text) for text in said(run.events("agent_said"))]
    assert answers[1:] == [words(turn.says) for turn in script.turns]
    assert run.errors == []
    assert models.journal.refusals == []
    opened = models.journal.find("nova-sonic", "opened")
    last_word = models.journal.find("nova-sonic", "spoke")[-1]
    assert last_word.at - opened[0].at > limits.sonic_connection
    streams = [entry.detail["stream"] for entry in opened]
    assert len(streams) > 1
    history = [
        e.detail["content"]
        for e in models.journal.find("nova-sonic", "textInput")
        if e.detail["stream"] == streams[1]
    ]
    assert NAME.heard in history and NAME.says in history


def words(text: str) -> list[str]:
    """The words, because Pipecat 1.14 puts no space between the sentences of Nova Sonic."""
    return re.findall(r"[\w']+", text)


def renew_after(agent: Agent, seconds: int) -> None:
    """Edits the bot as its owner would: when Pipecat renews a Nova Sonic connection."""
    bot = agent.folder / "bot.py"
    text, edits = re.subn(
        r"transition_threshold_seconds=[\d.]+",
        f"transition_threshold_seconds={seconds}",
        bot.read_text(),
    )
    assert edits == 1, "bot.py says nowhere when a connection is renewed"
    bot.write_text(text)
