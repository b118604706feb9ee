"""Speaks to the agent and expects a spoken answer, over each transport. This file is yours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType

import boto3
import pytest

from internal.tests import over_websocket
from internal.tests.caller import Caller
from internal.tests.running_agent import RunningAgent, running

QUESTION = Path(__file__).with_name("question.wav")  # "What time is it?"

Call = Callable[[int, str], AbstractAsyncContextManager[Caller]]
TRANSPORTS = [over_websocket]


@pytest.fixture(scope="module", params=TRANSPORTS, ids=lambda transport: transport.__name__)
def over(request: pytest.FixtureRequest) -> ModuleType:
    """The transport of the calls."""
    return request.param


@pytest.fixture(scope="module")
def call(over: ModuleType) -> Call:
    """A function that calls the agent."""
    return over.call


@pytest.fixture(scope="module")
def agent(over: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """An agent for each transport: it greets only its first caller."""
    environment = getattr(over, "ENVIRONMENT", None)
    with running(tmp_path_factory.mktemp("agent") / "log", environment) as agent:
        yield agent


pytestmark = pytest.mark.aws


@pytest.fixture(scope="module", autouse=True)
def credentials() -> None:
    """Fail without AWS credentials: these tests use models in AWS."""
    if boto3.Session().get_credentials() is None:
        pytest.fail("No AWS credentials found: set AWS_PROFILE, or run `aws login`.")


def test_spoken_question_gets_a_spoken_answer(agent: RunningAgent, call: Call) -> None:
    async def conversation() -> None:
        async with call(agent.port, "spoken" * 6) as caller:
            await caller.answered()  # the greeting
            assert agent.ping()["status"] == "HealthyBusy"
            caller.spoken.clear()
            caller.say(QUESTION)
            await caller.answered(2)
            assert "time" in " ".join(caller.texts("user-transcription")).lower()
            assert caller.heard_speech()

    asyncio.run(conversation())
    latency = agent.events("latency")[-1]
    stages = sum(stage["ms"] for stage in latency["stages"])
    assert abs(stages - latency["total_ms"]) < 1


def test_reconnecting_caller_continues_the_conversation(agent: RunningAgent, call: Call) -> None:
    session = "again-" * 6

    async def ask(question: str) -> None:
        async with call(agent.port, session) as caller:
            await caller.type(question)
            await caller.until(lambda: answers(agent, question), "answer")

    asyncio.run(ask("My name is Ada."))
    asyncio.run(ask("What is my name?"))
    assert "Ada" in " ".join(answers(agent, "What is my name?"))
    assert agent.events("session_started")[-1]["resumed"]


def answers(agent: RunningAgent, question: str) -> list[str]:
    """Return the agent's uninterrupted answers since this question."""
    said = agent.events("user_said", "agent_said")
    asked = [line["event"] == "user_said" and line["text"] == question for line in said]
    since = said[asked.index(True) :] if True in asked else []
    return [line["text"] for line in since if not line.get("interrupted", True)]
