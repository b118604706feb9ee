"""Owns the bodies of the server's requests and answers; the OpenAPI document describes them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# AgentCore takes IDs of 33 to 100 of these characters.
SESSION_ID = "^[A-Za-z0-9][A-Za-z0-9-]{32,99}$"
EXAMPLE_ID = "6f1d9a54-2f0c-4b0e-9d55-0c1f7c1f3a11"

SessionId = Annotated[str, Path(pattern=SESSION_ID, examples=[EXAMPLE_ID])]
# Of a client's data for the agent, as JSON; enough for a form, and cheap to repeat.
DATA_BYTES, DATA_DEPTH = 8192, 16


def _check_data(data: dict[str, Any]) -> dict[str, Any]:
    try:
        if len(json.dumps(data, allow_nan=False)) > DATA_BYTES:
            raise ValueError(f"it may have {DATA_BYTES} bytes as JSON")
        depth = _depth(data)
    except RecursionError:
        depth = DATA_DEPTH + 1
    if depth > DATA_DEPTH:
        raise ValueError(f"it may have {DATA_DEPTH} levels")
    return data


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


ClientData = Annotated[dict[str, Any], AfterValidator(_check_data)]
"""Data that a client sends for bot.py, where it is `session.data`."""


class StartRequest(BaseModel):
    """The body of POST /start, all optional; `sessionId` and `token` resume a session.

    Pipecat's clients send their `requestData` as this body.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{}, {"transport": "webrtc", "body": {"customer": "C-1042"}}]
        },
    )

    transport: str | None = Field(default=None, max_length=20)
    sessionId: str | None = Field(default=None, pattern=SESSION_ID)
    token: str = Field(default="", max_length=2000)
    body: ClientData | None = Field(default=None, description="What bot.py reads in session.data.")
    enableDefaultIceServers: bool | None = None
    createDailyRoom: bool | None = None


class IceServer(BaseModel):
    """A TURN server, with credentials for this call."""

    urls: list[str]
    username: str
    credential: str


class IceConfig(BaseModel):
    """Configuration of a browser's RTCPeerConnection."""

    iceServers: list[IceServer]


class Started(BaseModel):
    """A session. WebSocket clients get `wsUrl`, WebRTC `iceConfig`, and Daily a room."""

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
    token: str = Field(description="Send it as X-Session-Token with requests for this session.")
    transport: str
    wsUrl: str | None = None
    expiresIn: int | None = Field(default=None, description="Seconds to connect within.")
    iceConfig: IceConfig | None = None
    roomUrl: str | None = None
    roomToken: str | None = Field(default=None, description="Admits one person to the room.")


class Config(BaseModel):
    """Public settings, which a client reads before it starts a session."""

    project: str
    transports: list[str]


class EndedSessions(BaseModel):
    """The number of sessions that were open, and have been ended."""

    ended: int


class SessionState(BaseModel):
    """A session that has not ended."""

    transport: str
    since: datetime
    seconds: int
