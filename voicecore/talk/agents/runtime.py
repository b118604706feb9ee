"""Owns sessions of an AgentCore runtime, reached by URLs that this machine signs itself."""

from __future__ import annotations

import asyncio
import re
import uuid
from dataclasses import dataclass

from voicecore.aws.errors import translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.aws.runtime_sessions import RuntimeSessions, sessions_in
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.agents.source import SessionSource
from voicecore.talk.session_client import StartedSession

_ARN = re.compile(
    r"arn:aws[a-z-]*:bedrock-agentcore:(?P<region>[a-z0-9-]+):\d{12}:"
    r"runtime/(?P<name>[A-Za-z0-9_-]+)(/runtime-endpoint/(?P<endpoint>[A-Za-z0-9_-]+))?"
)


class BadArn(VoicecoreError):
    """The ARN is not that of an AgentCore runtime."""


@dataclass(frozen=True)
class RuntimeArn:
    """A runtime, and the endpoint of it that is called."""

    text: str
    region: str
    endpoint: str | None
    """None if the ARN names only the runtime."""


def read_arn(text: str) -> RuntimeArn:
    """Return the ARN of a runtime, or of one of its endpoints. Raises BadArn."""
    found = _ARN.fullmatch(text)
    if found is None:
        raise BadArn(
            f"{text!r} is not the ARN of an AgentCore runtime.",
            "One looks like arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID",
            ExitCode.USAGE,
        )
    runtime = text.partition("/runtime-endpoint/")[0]
    return RuntimeArn(runtime, found["region"], found["endpoint"])


class SignedRuntime(SessionSource):
    """Sessions of a runtime. Raises AwsRefused."""

    is_ours, is_aws = False, True
    advice = (
        "403: the caller may lack bedrock-agentcore:InvokeAgentRuntimeWithWebSocketStream.\n"
        "404: does the ARN name a runtime of this region and account?\n"
        "424: the agent failed; its log in CloudWatch says why."
    )

    def __init__(self, runtime: RuntimeSessions, again: str) -> None:
        """`again` is the command to type again after a refusal."""
        self._runtime, self._again = runtime, again

    async def start(self) -> StartedSession:
        """Return a new session, with a URL to connect within 300 s."""
        return await self._session(str(uuid.uuid4()))

    async def resume(self, session: StartedSession) -> StartedSession:
        """Return the session with a new URL."""
        return await self._session(session.id)

    async def _session(self, id: str) -> StartedSession:
        with translated_errors(self._again):
            url = await asyncio.to_thread(self._runtime.websocket_url, id)
        return StartedSession(id, "", url)

    async def stop(self, session: StartedSession) -> None:
        """Stop the session, which ends its cost."""
        with translated_errors(self._again):
            await asyncio.to_thread(self._runtime.stop, session.id)


async def in_account(
    runtime: RuntimeArn, endpoint: str, login: AwsLogin, again: str
) -> SignedRuntime:
    """Return the sessions of a runtime; of `endpoint`, unless the ARN names one.

    `again` is the command to type again after a refusal. Raises AwsRefused.
    """
    with translated_errors(again):
        aws = await asyncio.to_thread(login.open, runtime.region)
        sessions = sessions_in(aws, runtime.text, runtime.endpoint or endpoint)
    return SignedRuntime(sessions, again)
