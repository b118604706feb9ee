"""When AWS fails, the conversation goes on or the call ends with an error: never in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.generated.models.agent import Agent, Running, call, running, said
from tests.generated.models.caller import Caller
from tests.generated.models.test_conversation import NAME, OPEN
from tests.standins.models import Models, Script, serve

SCRIPT = Script((NAME, OPEN))
BROKEN = "Error processing responses: AWS Bedrock ended the response stream"
ADVICE = "no AWS credentials found; set AWS_PROFILE or use a role"
FEW = 10  # lines; what fails 50 times a second writes hundreds


def test_a_broken_connection_is_made_anew(agents: Mapping[str, Agent]) -> None:
    """Nova Sonic goes on with the history, until there is no connection to be had any more."""

    async def talk() -> tuple[Running, Models, list[str]]:
        async with (
            serve(SCRIPT) as models,
            running(agents["nova-sonic"], models) as run,
            call(run) as caller,
        ):
            await greeted(caller)
            await caller.say("what-is-my-name")
            await caller.until(lambda: len(run.events("agent_said")) == 2)
            models.wire.cut()
            await run.until_logged("Finished connecting", 2)
            await caller.say("open-on-sunday")
            await caller.until(lambda: len(run.events("agent_said")) == 3)
            assert errors(caller) == [BROKEN]
            models.wire.kill()
            await run.until("session_ended", seconds=20)
            return run, models, errors(caller)

    run, models, told = asyncio.run(talk())
    assert said(run.events("agent_said"))[1:] == [NAME.says, OPEN.says]
    assert models.journal.refusals == []
    second = models.journal.find("nova-sonic", "opened")[1].detail["stream"]
    given = models.journal.find("nova-sonic", "textInput")
    history = [e.detail["content"] for e in given if e.detail["stream"] == second]
    assert history[-2:] == [NAME.heard, NAME.says]

    # This history is more than what the SDK buffers: it is the writing of it that gets stuck.
    assert "Amazon Bedrock cannot be reached: the connection accepted nothing for 5 s" in told
    ended_in_time(run)


def test_no_connection_ends_the_call(agents: Mapping[str, Agent]) -> None:
    """A short history fits into what the SDK buffers: here it is the reading that fails."""

    async def talk() -> tuple[Running, list[str]]:
        async with (
            serve(SCRIPT) as models,
            running(agents["nova-sonic"], models) as run,
            call(run) as caller,
        ):
            await greeted(caller)
            models.wire.kill()
            await run.until("session_ended", seconds=20)
            return run, errors(caller)

    run, told = asyncio.run(talk())
    assert told[-1] == "Amazon Bedrock cannot be reached: every new connection breaks"
    ended_in_time(run)


@pytest.mark.parametrize("pipeline", ["nova-sonic", "cascade"])
def test_no_credentials_end_the_call(agents: Mapping[str, Agent], pipeline: str) -> None:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

    async def talk() -> tuple[Running, list[str]]:
        async with (
            serve() as models,
            running(agents[pipeline], models, without=keys) as run,
            call(run) as caller,
        ):
            await run.until("session_ended")
            return run, errors(caller)

    run, told = asyncio.run(talk())
    assert told[0].endswith(ADVICE)
    assert sum(ADVICE in line["message"] for line in run.errors) == 1
    ended_in_time(run)


def ended_in_time(run: Running) -> None:
    """The call ended because of the service, and the log was not flooded meanwhile."""
    (ended,) = run.events("session_ended")
    assert ended["reason"] == "a service failed"
    assert len(run.errors) < FEW


async def greeted(caller: Caller) -> None:
    await caller.until(lambda: caller.messages("bot-stopped-speaking"))


def errors(caller: Caller) -> list[str]:
    return [message["error"] for message in caller.messages("error")]
