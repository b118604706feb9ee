"""The model stand-ins work with AWS's own SDK, and refuse what AWS refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.standins.models import Models, Script, Turn, serve
from tests.standins.models.refusal import Refused
from tests.standins.models.sonic_rules import Audio, Ended, SonicSession, Typed
from tests.standins.models.speech import Speaking, VoiceActivity, say, seconds

PROFILE = "us.amazon.nova-2-lite-v1:0"
TEXT_OUT = {"mediaType": "text/plain"}
AUDIO = {
    "mediaType": "audio/lpcm",
    "sampleRateHertz": 16000,
    "sampleSizeBits": 16,
    "channelCount": 1,
    "encoding": "base64",
    "audioType": "SPEECH",
}


def session_start(**more: Any) -> dict[str, Any]:
    inference = {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}
    return {"event": {"sessionStart": {"inferenceConfiguration": inference, **more}}}


def prompt_start(**audio: Any) -> dict[str, Any]:
    out = {**AUDIO, "voiceId": "matthew", **audio}
    body = {"promptName": "p", "textOutputConfiguration": TEXT_OUT}
    return {"event": {"promptStart": {**body, "audioOutputConfiguration": out}}}


def content(name: str, kind: str, role: str, interactive: bool, **more: Any) -> dict[str, Any]:
    body = {"promptName": "p", "contentName": name, "type": kind, "role": role}
    return {"event": {"contentStart": {**body, "interactive": interactive, **more}}}


def text(name: str, role: str, words: str, interactive: bool = False) -> list[dict[str, Any]]:
    ids = {"promptName": "p", "contentName": name}
    return [
        content(name, "TEXT", role, interactive, textInputConfiguration=TEXT_OUT),
        {"event": {"textInput": {**ids, "content": words}}},
        {"event": {"contentEnd": ids}},
    ]


def audio_start(name: str = "a", **settings: Any) -> dict[str, Any]:
    return content(name, "AUDIO", "USER", True, audioInputConfiguration={**AUDIO, **settings})


def event(name: str, **body: Any) -> dict[str, Any]:
    return {"event": {name: body}}


OPENING = [session_start(), prompt_start(), *text("s", "SYSTEM", "Be kind.")]
END = [event("promptEnd", promptName="p"), event("sessionEnd")]

REFUSED: dict[str, list[Mapping[str, Any]]] = {
    "prompt before session": [prompt_start()],
    "two sessionStarts": [session_start(), session_start()],
    "flat endpointingSensitivity": [session_start(endpointingSensitivity="HIGH")],
    "two prompts": [session_start(), prompt_start(), prompt_start()],
    "output rate": [session_start(), prompt_start(sampleRateHertz=44100)],
    "unknown event": [session_start(), event("hello")],
    "system prompt after history": [
        *OPENING[:2],
        *text("u", "USER", "hi"),
        *text("s", "SYSTEM", "Be kind."),
    ],
    "history starts with the assistant": [*OPENING, *text("u", "ASSISTANT", "hello")],
    "history after audio": [*OPENING, audio_start(), *text("u", "USER", "hi")],
    "interactive text before audio": [*OPENING, *text("u", "USER", "hi", interactive=True)],
    "input rate": [*OPENING, audio_start(sampleRateHertz=48000)],
    "stereo": [*OPENING, audio_start(channelCount=2)],
    "two audio contents": [*OPENING, audio_start("a"), audio_start("b")],
    "a repeated content name": [*OPENING, *text("s", "USER", "hi")],
    "audio into a closed content": [
        *OPENING,
        audio_start(),
        event("contentEnd", promptName="p", contentName="a"),
        event("audioInput", promptName="p", contentName="a", content="AAA="),
    ],
    "audio that is not base64": [
        *OPENING,
        audio_start(),
        event("audioInput", promptName="p", contentName="a", content="?"),
    ],
    "another prompt": [*OPENING, event("contentEnd", promptName="q", contentName="s")],
    "an unrequested tool result": [
        *OPENING,
        content(
            "t",
            "TOOL",
            "TOOL",
            False,
            toolResultInputConfiguration={"toolUseId": "x", "type": "TEXT"},
        ),
    ],
    "sessionEnd before promptEnd": [*OPENING, event("sessionEnd")],
    "anything after the end": [*OPENING, *END, session_start()],
}


@pytest.mark.parametrize("case", REFUSED)
def test_nova_sonic_refuses_invalid_events(case: str) -> None:
    session = SonicSession()
    with pytest.raises(Refused) as refused:
        for message in REFUSED[case]:
            session.accept(message)
    assert refused.value.kind == "ValidationException"


def test_nova_sonic_accepts_a_complete_session() -> None:
    session = SonicSession()
    events = [
        *OPENING,
        *text("h1", "USER", "hi"),
        *text("h2", "ASSISTANT", "hello"),
        audio_start(),
        *text("t", "USER", "typed", interactive=True),
        event("audioInput", promptName="p", contentName="a", content="AAA="),
        *END,
    ]
    inputs = [given for given in map(session.accept, events) if given]
    assert inputs == [Typed("typed"), Audio(b"\0\0"), Ended()]
    assert session.system == "Be kind."
    assert session.history == [("USER", "hi"), ("ASSISTANT", "hello")]


def test_voice_activity_detects_one_utterance() -> None:
    activity = VoiceActivity(16000)
    sound = bytes(16000) + say("What time is it?", 16000) + bytes(32000)
    changes = [c for at in range(0, len(sound), 640) for c in activity.listen(sound[at : at + 640])]
    assert changes == [Speaking.STARTED, Speaking.STOPPED]


def client(models: Models, service: str, secret: str | None = None, region: str = "us-east-1"):
    keys = models.reach.keys
    return boto3.client(
        service,
        endpoint_url=models.endpoint,
        region_name=region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=secret or keys.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


def user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": words}]}


TIME_TOOL = {
    "tools": [
        {"toolSpec": {"name": "clock", "inputSchema": {"json": {"type": "object"}}}},
    ]
}


def test_converse_calls_a_tool_and_speaks_its_result() -> None:
    script = Script((Turn("what time is it", "It is {result}.", "clock", {"zone": "UTC"}),))

    def talk(models: Models) -> str:
        bedrock = client(models, "bedrock-runtime")
        messages = [user("What time is it?")]
        request = {"modelId": PROFILE, "toolConfig": TIME_TOOL}
        events = list(bedrock.converse_stream(messages=messages, **request)["stream"])
        use = next(e["contentBlockStart"] for e in events if "contentBlockStart" in e)
        use = use["start"]["toolUse"]
        given = "".join(
            e["contentBlockDelta"]["delta"]["toolUse"]["input"]
            for e in events
            if "contentBlockDelta" in e
        )
        assert (use["name"], json.loads(given)) == ("clock", {"zone": "UTC"})
        assert {"messageStop": {"stopReason": "tool_use"}} in events
        result = {"toolUseId": use["toolUseId"], "content": [{"text": "noon"}]}
        called = {**use, "input": json.loads(given)}
        messages += [
            {"role": "assistant", "content": [{"toolUse": called}]},
            {"role": "user", "content": [{"toolResult": result}]},
        ]
        answer = bedrock.converse_stream(messages=messages, **request)["stream"]
        return "".join(
            e["contentBlockDelta"]["delta"]["text"] for e in answer if "contentBlockDelta" in e
        )

    assert with_models(script, talk).strip() == "It is noon."


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ({"modelId": "amazon.nova-2-lite-v1:0"}, "ValidationException"),
        ({"modelId": "eu.amazon.nova-2-lite-v1:0"}, "ValidationException"),
        ({"messages": [{"role": "assistant", "content": [{"text": "hi"}]}]}, "ValidationException"),
        ({"messages": [user("a"), user("b")]}, "ValidationException"),
        ({"messages": [user(" ")]}, "ValidationException"),
        ({"toolConfig": {**TIME_TOOL, "toolChoice": {}}}, "ParamValidationError"),
    ],
)
def test_converse_refuses_invalid_requests(request_: dict[str, Any], kind: str) -> None:
    def talk(models: Models) -> str:
        bedrock = client(models, "bedrock-runtime")
        request = {"modelId": PROFILE, "messages": [user("hi")], **request_}
        with pytest.raises(Exception) as refused:
            bedrock.converse_stream(**request)
        if isinstance(refused.value, ClientError):
            return refused.value.response["Error"]["Code"]
        return type(refused.value).__name__

    assert with_models(Script(), talk) == kind


def test_wrong_signature_is_refused() -> None:
    def talk(models: Models) -> list[int]:
        statuses: list[int] = []
        for wrong in ({"secret": "another"}, {"region": "eu-west-1"}):
            with pytest.raises(ClientError) as refused:
                client(models, "polly", **wrong).synthesize_speech(
                    Text="hi", VoiceId="Joanna", OutputFormat="pcm"
                )
            statuses.append(refused.value.response["ResponseMetadata"]["HTTPStatusCode"])
        return statuses

    assert with_models(Script(), talk) == [403, 403]


def test_polly_returns_speech() -> None:
    def talk(models: Models) -> bytes:
        answer = client(models, "polly").synthesize_speech(
            Text="<speak>Good <lang xml:lang='en-US'>morning</lang></speak>",
            TextType="ssml",
            VoiceId="Joanna",
            OutputFormat="pcm",
            SampleRate="16000",
        )
        assert [e.detail["text"] for e in models.journal.find("polly", "speaks")] == [
            "Good morning"
        ]
        return answer["AudioStream"].read()

    sound = with_models(Script(), talk)
    assert 0.4 < seconds(sound, 16000) < 2
    assert np.abs(np.frombuffer(sound, np.int16)).max() > 5000


def with_models(script: Script, talk: Callable[[Models], Any]) -> Any:
    """Run `talk`, which blocks, in a thread while the stand-ins serve it."""

    async def run() -> Any:
        async with serve(script) as models:
            return await asyncio.to_thread(talk, models)

    return asyncio.run(run())
