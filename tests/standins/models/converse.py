"""Owns the stand-in for Bedrock's ConverseStream, validated by botocore's model of the service.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.standins.models import contract, eventstream
from tests.standins.models.refusal import invalid
from tests.standins.models.script import Script

SERVICE = "converse"
_ON_DEMAND = ("amazon.nova-micro-v1:0", "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0")
_PROFILE_ONLY = ("amazon.nova-2-lite-v1:0",)
_PROFILES = {"us-": ("us", "global"), "eu-": ("eu", "global"), "ap-": ("jp", "apac", "global")}

Event = tuple[str, Mapping[str, Any]]
Messages = Sequence[Mapping[str, Any]]


def converse(script: Script, region: str, model: str, body: bytes) -> Iterator[bytes]:
    """Yield the frames of the answer. Raises Refused before the first, as Bedrock does."""
    try:
        request = json.loads(body)
    except ValueError as e:
        raise invalid("The request body is not JSON.") from e
    contract.check_request(
        contract.service("bedrock-runtime"), "ConverseStream", {**request, "modelId": model}
    )
    check_model(model, region)
    check_messages(request)
    return _frames(answer(script, request))


def check_model(model: str, region: str) -> None:
    """Raise Refused unless this model ID can be called from the region."""
    prefix, _, bare = model.partition(".")
    prefixes = next((p for start, p in _PROFILES.items() if region.startswith(start)), ("global",))
    if prefix in prefixes and bare in _ON_DEMAND + _PROFILE_ONLY:
        return
    if model in _PROFILE_ONLY:
        raise invalid(
            f"Invocation of model ID {model} with on-demand throughput isn’t supported. Retry your "
            "request with the ID or ARN of an inference profile that contains this model."
        )
    if model not in _ON_DEMAND:
        raise invalid("The provided model identifier is invalid.")


def check_messages(request: Mapping[str, Any]) -> None:
    """Raise Refused if the messages break rules that botocore's model cannot express."""
    messages: Messages = request.get("messages", [])
    if not messages or messages[0]["role"] != "user":
        raise invalid("A conversation must start with a user message. Try again with a "
                      "conversation that starts with a user message.")  # fmt: skip
    if messages[-1]["role"] != "user":
        raise invalid("A conversation must end with a user message.")
    asked: set[str] = set()
    for before, message in zip([None, *messages], messages, strict=False):
        if before and before["role"] == message["role"]:
            raise invalid("A conversation must alternate between user and assistant roles.")
        blocks = message["content"]
        if not blocks:
            raise invalid("The content field in the Message object is empty.")
        if any("text" in block and not block["text"].strip() for block in blocks):
            raise invalid("The text field in the ContentBlock object is blank.")
        answered = {b["toolResult"]["toolUseId"] for b in blocks if "toolResult" in b}
        if answered != asked:
            raise invalid("Expected toolResult blocks for the ids of the last toolUse blocks.")
        asked = {b["toolUse"]["toolUseId"] for b in blocks if "toolUse" in b}
        if (asked or answered) and "toolConfig" not in request:
            raise invalid("The toolConfig field must be defined when using toolUse and toolResult.")


def answer(script: Script, request: Mapping[str, Any]) -> list[Event]:
    """Return the events that answer the request: words, or a tool call."""
    messages: Messages = request["messages"]
    first = all(message["role"] == "user" for message in messages)
    said = [block["text"] for m in messages if m["role"] == "user" for block in m["content"]
            if "text" in block]  # fmt: skip
    turn = script.answer_to(said[-1] if said else "", first)
    results = [block["toolResult"] for block in messages[-1]["content"] if "toolResult" in block]
    if turn.tool and not results:
        return _tool_events(turn.tool, turn.arguments)
    return _text_events(turn.says.replace("{result}", _text_of(results)))


def _text_events(says: str) -> list[Event]:
    words = [f"{word} " for word in says.split()]
    deltas = [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": w}}) for w in words]
    return [
        ("messageStart", {"role": "assistant"}),
        *deltas,
        ("contentBlockStop", {"contentBlockIndex": 0}),
        *_end("end_turn", len(words)),
    ]


def _tool_events(name: str, arguments: Mapping[str, Any]) -> list[Event]:
    use = {"toolUseId": f"tooluse_{uuid.uuid4().hex[:22]}", "name": name}
    text = json.dumps(dict(arguments))
    half = len(text) // 2  # each piece of the input is invalid JSON by itself
    pieces = [("contentBlockDelta",
               {"contentBlockIndex": 0, "delta": {"toolUse": {"input": piece}}})
              for piece in (text[:half], text[half:])]  # fmt: skip
    return [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": use}}),
        *pieces,
        ("contentBlockStop", {"contentBlockIndex": 0}),
        *_end("tool_use", 12),
    ]


def _end(reason: str, output_tokens: int) -> list[Event]:
    usage = {"inputTokens": 10, "outputTokens": output_tokens, "totalTokens": 10 + output_tokens}
    return [
        ("messageStop", {"stopReason": reason}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]


def _text_of(results: Sequence[Mapping[str, Any]]) -> str:
    blocks = [block for result in results for block in result["content"]]
    return " ".join(block.get("text") or json.dumps(block.get("json", "")) for block in blocks)


def _frames(events: list[Event]) -> Iterator[bytes]:
    model = contract.service("bedrock-runtime")
    for name, body in events:
        contract.check_answer(model, "ConverseStreamOutput", {name: body})
        yield eventstream.event(name, body)
