"""After a failure of AWS, the conversation continues or the call ends with an error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.generated.models.agent import Agent, Running, call, running, texts
from tests.generated.models.caller import Caller
from tests.generated.models.test_conversation import NAME, OPEN
from tests.standins.models import Models, Script, serve

SCRIPT = Script((NAME, OPEN))
BROKEN = "Error processing responses: AWS Bedrock ended the response stream"
ADVICE = "no AWS credentials found; set AWS_PROFILE or use a role"
FEW = 10  # lines; an error that repeats 50 times per second writes hundreds


def test_agent_reconnects_to_nova_sonic(agents: Mapping[str, Agent]) -> None:
    """The new connection has the history. When every connection breaks, the call ends."""

    async def talk() -> tuple[Running, Models, list[str]]:
        async with (
            serve(SCRIPT) as models,
            running(agents["nova-sonic"], models) as run,
            call(run) as caller,
        ):
            await hear_greeting(caller)
            await caller.say("what-is-my-name")
            await caller.until(lambda: len(run.events("agent_said")) == 2)
            models.proxy.reset_connections()
            await run.until_logged("Finished connecting", 2)
            await caller.say("open-on-sunday")
            await caller.until(lambda: len(run.events("agent_said")) == 3)
            assert errors(caller) == [BROKEN]
            models.proxy.refuse_connections()
            await run.until("session_ended", seconds=60)
            return run, models, errors(caller)

    run, models, messages = asyncio.run(talk())
    assert texts(run.events("agent_said"))[1:] == [NAME.says, OPEN.says]
    assert models.journal.refusals == []
    second = models.journal.find("nova-sonic", "opened")[1].detail["stream"]
    inputs = models.journal.find("nova-sonic", "textInput")
    history = [e.detail["content"] for e in inputs if e.detail["stream"] == second]
    assert history[-2:] == [NAME.heard, NAME.says]

    # This history exceeds the SDK's buffer, so that writing it blocks.
    assert "Amazon Bedrock cannot be reached: the connection accepted nothing for 5 s" in messages
    assert_service_failed(run)


def test_call_ends_without_a_connection(agents: Mapping[str, Agent]) -> None:
    """A short history fits into the SDK's buffer, so that reading fails."""

    async def talk() -> tuple[Running, list[str]]:
        async with (
            serve(SCRIPT) as models,
            running(agents["nova-sonic"], models) as run,
            call(run) as caller,
        ):
            await hear_greeting(caller)
            models.proxy.refuse_connections()
            await run.until("session_ended", seconds=60)
            return run, errors(caller)

    run, messages = asyncio.run(talk())
    assert messages[-1] == "Amazon Bedrock cannot be reached: every new connection breaks"
    assert_service_failed(run)


@pytest.mark.parametrize("pipeline", ["nova-sonic", "cascade"])
def test_call_ends_without_credentials(agents: Mapping[str, Agent], pipeline: str) -> None:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

    async def talk() -> tuple[Running, list[str]]:
        async with (
            serve() as models,
            running(agents[pipeline], models, without=keys) as run,
            call(run) as caller,
        ):
            await run.until("session_ended")
            assert await caller.closed() == 1000  # no frame was too large
            return run, errors(caller)

    run, messages = asyncio.run(talk())
    assert messages[0].endswith(ADVICE)
    assert sum(ADVICE in line["message"] for line in run.errors) == 1
    assert_service_failed(run)


def test_call_ends_at_an_endpoint_that_is_no_url(agents: Mapping[str, Agent]) -> None:
    """With such a URL, the SDK would wait forever."""

    async def talk() -> tuple[Running, list[str]]:
        async with (
            serve() as models,
            running(agents["nova-sonic"], models, AWS_ENDPOINT_URL_BEDROCK_RUNTIME="x") as run,
            call(run) as caller,
        ):
            await run.until("session_ended")
            return run, errors(caller)

    run, messages = asyncio.run(talk())
    assert messages[0].endswith("Invalid endpoint: x")
    assert_service_failed(run)


def assert_service_failed(run: Running) -> None:
    """Check that the service's failure ended the call, without flooding the log."""
    (ended,) = run.events("session_ended")
    assert ended["reason"] == "a service failed"
    assert len(run.errors) < FEW


async def hear_greeting(caller: Caller) -> None:
    await caller.until(lambda: caller.messages("bot-stopped-speaking"))


def errors(caller: Caller) -> list[str]:
    return [message["error"] for message in caller.messages("error")]
