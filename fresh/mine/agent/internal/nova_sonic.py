"""Owns what Pipecat's Nova Sonic service lacks: fresh credentials, typed text, and lost links."""

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

# `deploy` and `dev` set it from [services] in voicecore.toml, which the role follows.
MODEL = os.environ.get("SPEECH_TO_SPEECH_MODEL", "amazon.nova-2-5-sonic")

CLOSE_SECONDS = 1  # limit for closing a broken connection
SEND_SECONDS = 5  # limit for connecting, and for sending an event


class NoCredentials(Exception):
    """No AWS credentials were found."""

    status_code = 401  # tells Pipecat not to retry


class NovaSonic(AWSNovaSonicLLMService):
    """The speech-to-speech model."""

    def __init__(self, prompt: str, voice: str) -> None:
        # The agent must run in a region of the model, which has no cross-region inference.
        self._home = os.environ.get("AWS_REGION", "us-east-1")
        super().__init__(
            # create_client below sets the keys.
            access_key_id="",
            secret_access_key="",
            region=self._home,
            settings=self.Settings(model=MODEL, voice=voice, system_instruction=prompt),
            # A connection ends after 8 minutes: renew it before, without a gap.
            session_continuation=SessionContinuationParams(enabled=True),
        )
        # Give up after three connections in a row that break within 5 s.
        self._breaks = QuickFailureTracker(min_stable_duration=5, max_consecutive_failures=3)

    def create_client(self) -> BedrockRuntimeClient:
        """Return a client with the current credentials of the agent's role.

        The SDK resolves no roles and refreshes no credentials, and those of a role are valid for
        hours at most. Pipecat calls this for every connection. Raises NoCredentials.
        """
        credentials = boto3.Session().get_credentials()
        if credentials is None:
            raise NoCredentials("no AWS credentials found; set AWS_PROFILE or use a role")
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
        """Reconnect with the history; Pipecat calls this when the connection has broken."""
        lasted = time.time() - (self._connected_time or 0.0)
        if self._breaks.record(lasted).should_give_up:
            await self._hang_up("every new connection breaks")
        elif self.is_usable:
            await super().reset_conversation()

    async def send_event(self, event_json: str, stream: Any) -> None:
        """Send an event to the model; end the call if the connection does not accept it.

        The SDK reports a connection before it exists, and buffers 16 events. If the connection
        never comes, the next event would wait forever. Raises TimeoutError for a stream that is
        not the current one.
        """
        if not self.is_usable:
            return  # the call is ending
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await super().send_event(event_json, stream)
        except TimeoutError:
            if stream is not self._stream:
                raise
            await self._hang_up(f"the connection accepted nothing for {SEND_SECONDS} s")

    async def _disconnect(self) -> None:
        # Closing a broken connection waits for its buffer, which nothing empties. Pipecat 1.14
        # waits forever, and meanwhile fails to send the caller's audio, with an error 50 times a
        # second.
        self._disconnecting, self._audio_input_started = True, False
        upcoming = self._sc.next_session
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send_session_end_events()
                for stream in (self._stream, upcoming and upcoming.stream):
                    if stream:
                        await stream.close()
        except Exception as error:  # the connection is dropped, whatever the SDK raises
            logger.debug(f"dropped the connection to Nova Sonic: {error!r}")
        self._stream = None
        await super()._disconnect()

    async def _hang_up(self, reason: str) -> None:
        """End the call with an error, rather than leave the caller in silence."""
        error = f"Amazon Bedrock cannot be reached: {reason}"
        await self.push_error(error, force_treat_as_permanent=True)

    async def _report_tts_text(self) -> None:
        if self._pending_speculative_text:  # a sentence; Pipecat adds no space before the next
            self._pending_speculative_text += " "
        await super()._report_tts_text()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass typed text to the model: Pipecat adds it to the history only."""
        await super().process_frame(frame, direction)
        if isinstance(frame, RTVISendTextFrame):
            typed = LLMMessagesAppendFrame([{"role": "user", "content": frame.text}], run_llm=True)
            await self._handle_messages_append(typed)
