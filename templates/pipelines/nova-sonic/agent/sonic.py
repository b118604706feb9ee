"""Amazon Nova 2 Sonic, with what Pipecat's service leaves to its user."""

from __future__ import annotations

import os

import boto3
from aws_sdk_bedrock_runtime.client import BedrockRuntimeClient
from aws_sdk_bedrock_runtime.config import Config
from pipecat.frames.frames import Frame, LLMMessagesAppendFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.processors.frameworks.rtvi.frames import RTVISendTextFrame
from pipecat.services.aws.nova_sonic.llm import AWSNovaSonicLLMService
from pipecat.services.aws.nova_sonic.session_continuation import SessionContinuationParams
from smithy_aws_core.auth.sigv4 import SigV4AuthScheme
from smithy_aws_core.identity import StaticCredentialsResolver
from smithy_core.shapes import ShapeID

MODEL = "amazon.nova-2-sonic-v1:0"


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

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Let the model answer typed text, too: it is in the history, but not in its session."""
        await super().process_frame(frame, direction)
        if isinstance(frame, RTVISendTextFrame):
            typed = LLMMessagesAppendFrame([{"role": "user", "content": frame.text}], run_llm=True)
            await self._handle_messages_append(typed)
