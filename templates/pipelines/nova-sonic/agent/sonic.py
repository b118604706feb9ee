"""Amazon Nova 2 Sonic, with what Pipecat's service leaves to its user."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import boto3
from aws_sdk_bedrock_runtime.client import BedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import Config
from loguru import logger
from pipecat.frames.frames import Frame, LLMMessagesAppendFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi.frames import RTVISendTextFrame
from pipecat.services.aws.nova_sonic.llm import AWSNovaSonicLLMService
from pipecat.services.aws.nova_sonic.session_continuation import SessionContinuationParams
from pipecat.utils.network import QuickFailureTracker
from smithy_aws_core.auth.sigv4 import SigV4AuthScheme
from smithy_aws_core.identity import StaticCredentialsResolver
from smithy_core.shapes import ShapeID

MODEL = "amazon.nova-2-sonic-v1:0"

GOODBYE_SECONDS = 1  # what a broken connection may take to be left
SEND_SECONDS = 5  # what a connection may take to be made, or to accept an event


class NoCredentials(Exception):
    """The agent's role, or whoever runs it, has no AWS credentials."""

    status_code = 401  # by which Pipecat knows that trying again is no use


class NovaSonic(AWSNovaSonicLLMService):
    """The speech-to-speech model: hears, thinks and speaks."""

    def __init__(self, prompt: str, voice: str) -> None:
        # The agent must run in a region of the model: it has no cross-region inference.
        self._home = os.environ.get("AWS_REGION", "us-east-1")
        super().__init__(
            # create_client below finds the keys.
            access_key_id="",
            secret_access_key="",
            region=self._home,
            settings=self.Settings(model=MODEL, voice=voice, system_instruction=prompt),
            # A connection ends after 8 minutes: renew it before, unnoticed.
            session_continuation=SessionContinuationParams(enabled=True),
        )
        # Three connections in a row that break within 5 s are one that does not come back.
        self._breaks = QuickFailureTracker(min_stable_duration=5, max_consecutive_failures=3)

    def create_client(self) -> BedrockRuntimeClient:
        """Connect with the keys that the agent's role has now.

        The SDK resolves no roles and refreshes nothing, and a role's keys live for hours at
        most; Pipecat calls this for the first connection and for every renewal.
        Raises NoCredentials.
        """
        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise NoCredentials("there are no AWS credentials; use AWS_PROFILE or a role")
        keys = credentials.get_frozen_credentials()
        endpoint = os.environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
        return BedrockRuntimeClient(
            config=Config(
                endpoint_uri=endpoint or f"https://bedrock-runtime.{self._home}.amazonaws.com",
                region=self._home,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
                aws_credentials_identity_resolver=StaticCredentialsResolver(),
                auth_schemes={ShapeID("aws.auth#sigv4"): SigV4AuthScheme(service="bedrock")},
            )
        )

    async def reset_conversation(self) -> None:
        """Connect again, with the history: Pipecat calls this when the connection has broken."""
        lasted = time.time() - (self._connected_time or 0.0)
        if self._breaks.record(lasted).should_give_up:
            await self._hang_up("every new connection breaks")
        elif self.is_usable:
            await super().reset_conversation()

    async def send_event(self, event_json: str, stream: Any) -> None:
        """Send to the model; end the call if the connection does not take it.

        Pipecat is told that it is connected before it is, and writes into a buffer of 16 events.
        A connection that never comes takes those, and would keep it waiting with the next.
        Raises TimeoutError for any other stream than the present one.
        """
        if not self.is_usable:
            return  # the call is ending
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await super().send_event(event_json, stream)
        except TimeoutError:
            if stream is not self._stream:
                raise
            await self._hang_up(f"the connection took nothing for {SEND_SECONDS} s")

    async def _disconnect(self) -> None:
        # Of a connection that has broken nobody reads what is still in that buffer, and to close
        # it is to wait for that. Pipecat 1.14 waits for ever, and all the while it fails to send
        # the caller's audio, with an error 50 times a second.
        self._disconnecting, self._audio_input_started = True, False
        upcoming = self._sc.next_session
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._send_session_end_events()
                for stream in (self._stream, upcoming and upcoming.stream):
                    if stream:
                        await stream.close()
        except Exception as error:  # whatever the SDK says of it: we are leaving
            logger.debug(f"left Nova Sonic without a goodbye: {error!r}")
        self._stream = None
        await super()._disconnect()

    async def _hang_up(self, why: str) -> None:
        """End the call with an error rather than leave the caller in silence."""
        error = f"Amazon Bedrock is out of reach: {why}"
        await self.push_error(error, force_treat_as_permanent=True)

    async def _report_tts_text(self) -> None:
        if self._pending_speculative_text:  # a sentence; Pipecat puts no space before the next
            self._pending_speculative_text += " "
        await super()._report_tts_text()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Let the model answer typed text, too: it is in the history, but not in its session."""
        await super().process_frame(frame, direction)
        if isinstance(frame, RTVISendTextFrame):
            typed = LLMMessagesAppendFrame([{"role": "user", "content": frame.text}], run_llm=True)
            await self._handle_messages_append(typed)
