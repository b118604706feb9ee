"""A conversation outlives Nova Sonic's connection limit through session continuation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.generated.models.agent import Agent, Running, call, running, texts
from tests.generated.models.test_conversation import NAME, OPEN
from tests.standins.inspecting_proxy import InspectingProxy
from tests.standins.models import Models, Script, serve
from tests.standins.models.context import Limits

SCRIPT = Script((NAME, OPEN))
BEDROCK = "bedrock-runtime-fips.us-east-1.amazonaws.com"
LIMITS = Limits(sonic_connection=10)
OLDER = "amazon.nova-2-sonic-v1:0"  # as [services] in voicecore.toml may choose
ENVIRONMENT = {"SPEECH_TO_SPEECH_MODEL": OLDER, "AWS_USE_FIPS_ENDPOINT": "true"}


def test_conversation_outlives_the_connection_limit(
    agents: Mapping[str, Agent], tmp_path: Path
) -> None:
    """The connection is renewed after 2 s of 10; in AWS, Pipecat does so after 6 min of 8.

    The agent is in a company's network, which connects to Bedrock by a proxy only, and to
    endpoints that follow FIPS.
    """
    agent = agents["nova-sonic"].copy(tmp_path / "agent")
    renew_after(agent, seconds=2)
    run, models, hosts = asyncio.run(talk(agent, tmp_path))

    assert set(hosts) == {BEDROCK}
    assert texts(run.events("user_said")) == [NAME.heard, OPEN.heard]
    assert texts(run.events("agent_said"))[1:] == [turn.says for turn in SCRIPT.turns]
    assert run.errors == []
    assert models.journal.refusals == []

    opened = models.journal.find("nova-sonic", "opened")
    assert {each.detail["model"] for each in opened} == {OLDER}
    last_word = models.journal.find("nova-sonic", "spoke")[-1]
    assert last_word.at - opened[0].at > LIMITS.sonic_connection
    second = opened[1].detail["stream"]
    inputs = models.journal.find("nova-sonic", "textInput")
    history = [e.detail["content"] for e in inputs if e.detail["stream"] == second]
    assert NAME.heard in history and NAME.says in history


async def talk(agent: Agent, folder: Path) -> tuple[Running, Models, list[str]]:
    async with (
        serve(SCRIPT, limits=LIMITS) as models,
        InspectingProxy({BEDROCK: f"tcp://{urlsplit(models.endpoint).hostname}:443"}).serving(
            folder
        ) as proxy,
        running(agent, models, **ENVIRONMENT, HTTPS_PROXY=proxy.url) as run,
    ):
        async with call(run) as caller:
            await caller.until(lambda: caller.messages("bot-stopped-speaking"))
            for turn, sample in enumerate(("what-is-my-name", "open-on-sunday"), start=2):
                await caller.say(sample)
                await models.journal.until("nova-sonic", "spoke", turn)
                await caller.until(lambda n=turn: len(run.events("agent_said")) == n)
                await asyncio.sleep(2)  # a pause, in which the connection is renewed
        await run.until("session_ended")
        return run, models, proxy.hosts


def renew_after(agent: Agent, seconds: int) -> None:
    """Change when Pipecat renews a Nova Sonic connection."""
    source = agent.folder / "internal" / "nova_sonic.py"
    text = source.read_text()
    default = "SessionContinuationParams(enabled=True)"
    assert default in text, f"{source} no longer has {default}"
    renewed = f"SessionContinuationParams(transition_threshold_seconds={seconds})"
    source.write_text(text.replace(default, renewed))
