"""A conversation outlives Nova Sonic's connection limit: Pipecat's session continuation works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from tests.generated.models.agent import Agent, Running, call, running, said
from tests.generated.models.test_conversation import NAME, OPEN
from tests.standins.models import Models, Script, serve
from tests.standins.models.context import Limits

SCRIPT = Script((NAME, OPEN))
LIMITS = Limits(sonic_connection=10)


def test_the_connection_limit_is_not_noticed(agents: Mapping[str, Agent], tmp_path: Path) -> None:
    """Pipecat renews a connection after 6 minutes of AWS's 8; here after 2 seconds of 10."""
    agent = agents["nova-sonic"].copy(tmp_path / "agent")
    renew_after(agent, seconds=2)
    run, models = asyncio.run(talk(agent))

    assert said(run.events("user_said")) == [NAME.heard, OPEN.heard]
    assert said(run.events("agent_said"))[1:] == [turn.says for turn in SCRIPT.turns]
    assert run.errors == []
    assert models.journal.refusals == []

    opened = models.journal.find("nova-sonic", "opened")
    last_word = models.journal.find("nova-sonic", "spoke")[-1]
    assert last_word.at - opened[0].at > LIMITS.sonic_connection
    second = opened[1].detail["stream"]
    given = models.journal.find("nova-sonic", "textInput")
    history = [e.detail["content"] for e in given if e.detail["stream"] == second]
    assert NAME.heard in history and NAME.says in history


async def talk(agent: Agent) -> tuple[Running, Models]:
    async with serve(SCRIPT, limits=LIMITS) as models, running(agent, models) as run:
        async with call(run) as caller:
            await caller.until(lambda: caller.messages("bot-stopped-speaking"))
            for turn, sample in enumerate(("what-is-my-name", "open-on-sunday"), start=2):
                await caller.say(sample)
                await models.journal.until("nova-sonic", "spoke", turn)
                await caller.until(lambda n=turn: len(run.events("agent_said")) == n)
                await asyncio.sleep(2)  # a pause, in which the connection is renewed
        await run.until("session_ended")
        return run, models


def renew_after(agent: Agent, seconds: int) -> None:
    """Edits the agent as its owner would: when Pipecat renews a Nova Sonic connection."""
    source = agent.folder / "sonic.py"
    text = source.read_text()
    given = "SessionContinuationParams(enabled=True)"
    assert given in text, f"{source} no longer has {given}"
    renewed = f"SessionContinuationParams(transition_threshold_seconds={seconds})"
    source.write_text(text.replace(given, renewed))
