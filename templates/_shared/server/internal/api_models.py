"""What goes in and out of the server's routes, as JSON; the OpenAPI document shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

# AgentCore takes ids of 33 to 100 of these characters.
SESSION_ID = "^[A-Za-z0-9][A-Za-z0-9-]{32,99}$"
EXAMPLE_ID = "6f1d9a54-2f0c-4b0e-9d55-0c1f7c1f3a11"

SessionId = Annotated[str, Path(pattern=SESSION_ID, examples=[EXAMPLE_ID])]


class StartRequest(BaseModel):
    """The body of POST /start, all of which may be left out.

    `sessionId` and `token` resume a session.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{}, {"transport": "webrtc"}]},
    )

    transport: str | None = Field(default=None, max_length=20)
    sessionId: str | None = Field(default=None, pattern=SESSION_ID)
    token: str = Field(default="", max_length=2000)
    enableDefaultIceServers: bool | None = None


class IceServer(BaseModel):
    """A TURN server, with credentials for this call."""

    urls: list[str]
    username: str
    credential: str


class IceConfig(BaseModel):
    """What a browser's RTCPeerConnection takes."""

    iceServers: list[IceServer]


class Started(BaseModel):
    """A session. WebSocket clients get `wsUrl`, WebRTC clients `iceConfig`, Daily's a room."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sessionId": EXAMPLE_ID,
                    "token": "eyJ...",
                    "transport": "websocket",
                    "wsUrl": "wss://bedrock-agentcore.us-east-1.amazonaws.com/runtimes/...",
                    "expiresIn": 300,
                },
                {
                    "sessionId": EXAMPLE_ID,
                    "token": "eyJ...",
                    "transport": "webrtc",
                    "iceConfig": {
                        "iceServers": [
                            {"urls": ["turn:..."], "username": "...", "credential": "..."}
                        ]
                    },
                },
            ]
        }
    )

    sessionId: str
    token: str = Field(description="Send it as X-Session-Token with all that is of the session.")
    transport: str
    wsUrl: str | None = None
    expiresIn: int | None = Field(default=None, description="Seconds to connect in.")
    iceConfig: IceConfig | None = None
    roomUrl: str | None = None
    roomToken: str | None = Field(default=None, description="Lets one person into the room.")


class Config(BaseModel):
    """What a client has to know before it starts a session."""

    project: str
    transports: list[str]


class State(BaseModel):
    """A session that has not been ended."""

    transport: str
    since: datetime
    seconds: int
