"""Owns the stand-in for Nova Sonic: InvokeModelWithBidirectionalStream over HTTP/2.

Output events: https://docs.aws.amazon.com/nova/latest/nova2-userguide/sonic-output-events.html
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from tests.standins.models import eventstream
from tests.standins.models.asgi import Message, Receive, Send, finish, start
from tests.standins.models.context import StandinContext
from tests.standins.models.refusal import Refused, invalid
from tests.standins.models.script import Transcripts, Turn
from tests.standins.models.sigv4 import Request, Scope, check_chunk, check_headers
from tests.standins.models.sonic_rules import Audio, Ended, SonicSession, ToolResult, Typed
from tests.standins.models.speech import Speaking, VoiceActivity, say, seconds

SERVICE = "nova-sonic"
MODELS = ("amazon.nova-2-sonic-v1:0", "amazon.nova-2-5-sonic")
REGIONS = ("us-east-1", "us-west-2", "eu-north-1", "ap-northeast-1")  # Bedrock model cards
_CHUNK_SECONDS = 0.1
_DRAIN_SECONDS = 5
_FASTER_THAN_REAL_TIME = 8  # Nova sends audio faster than it plays


class Sonic:
    """The model. All streams share its transcripts, so a new connection gets the next one."""

    def __init__(self, context: StandinContext) -> None:
        self._context = context
        self._transcripts = Transcripts(context.script)

    async def serve(self, request: Request, model: str, receive: Receive, send: Send) -> None:
        """Serve one stream. Raises Refused before it starts; later refusals are events of it."""
        context = self._context
        scope = check_headers(request, context.keys, context.region, "bedrock")
        if model not in MODELS or context.region not in REGIONS:
            raise invalid("The provided model identifier is invalid.")
        await start(send, 200, {"content-type": "application/vnd.amazon.eventstream"})
        stream = _Stream(context, self._transcripts, scope, send)
        context.journal.note(SERVICE, "opened", stream=stream.id, model=model)
        try:
            async with asyncio.timeout(context.limits.sonic_connection):
                await stream.run(receive)
        except TimeoutError:
            message = "Model has timed out in processing the request. Try your request again."
            await stream.refuse(Refused("ModelTimeoutException", message))
        except Refused as refused:
            await stream.refuse(refused)
        await stream.drain(receive)
        await finish(send)
        context.journal.note(SERVICE, "closed", stream=stream.id, clean=stream.session.ended)


class _Stream:
    """One connection: reads events, listens, and answers one utterance after the other."""

    def __init__(
        self, context: StandinContext, transcripts: Transcripts, scope: Scope, send: Send
    ) -> None:
        self.id = uuid.uuid4().hex[:8]
        self.session = SonicSession()
        self._context, self._transcripts, self._scope, self._send = (
            context,
            transcripts,
            scope,
            send,
        )
        self._activity: VoiceActivity | None = None
        self._to_answer: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._results: dict[str, asyncio.Future[str]] = {}
        self._speaking = False
        self._interrupted = asyncio.Event()
        self._spoke_before = False
        self._input_over = False

    async def run(self, receive: Receive) -> None:
        """Serve until the client ends the session. Raises Refused as AWS does."""
        speaker = asyncio.create_task(self._answer_all())
        reader = asyncio.create_task(self._read_all(receive))
        try:
            await asyncio.wait((speaker, reader), return_when=asyncio.FIRST_COMPLETED)
            (speaker if speaker.done() else reader).result()
        finally:
            speaker.cancel()
            reader.cancel()
            await asyncio.gather(speaker, reader, return_exceptions=True)

    async def refuse(self, refused: Refused) -> None:
        """End the stream with an exception event, as AWS does."""
        self._note("refused", kind=refused.kind, message=refused.message)
        await self._send_frame(eventstream.exception(refused))

    async def drain(self, receive: Receive) -> None:
        """Discard further data of the client: hypercorn fails if data follows the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._input_over:
                    await self._receive(receive)

    async def _receive(self, receive: Receive) -> Message:
        message = await receive()
        self._input_over = message["type"] == "http.disconnect" or not message.get("more_body")
        return message

    async def _read_all(self, receive: Receive) -> None:
        decoder = eventstream.Decoder()
        while not self._input_over:
            try:
                async with asyncio.timeout(self._context.limits.sonic_idle):
                    message = await self._receive(receive)
            except TimeoutError as e:
                raise invalid("Timed out waiting for input events") from e
            for frame in decoder.feed(message.get("body", b"")):
                self._scope = check_chunk(frame, self._scope)
                if not frame.payload:
                    return  # the signed empty frame that ends a stream
                for inner in eventstream.Decoder().feed(frame.payload):
                    if self._take(_event(inner.payload)):
                        return

    def _take(self, event: Mapping[str, Any]) -> bool:
        """Apply one event; return whether it was the last."""
        name = next(iter(event.get("event") or {"": None}))
        result = self.session.accept(event)
        if name != "audioInput":
            self._note(name, **_short(event["event"][name]))
        match result:
            case Audio(pcm):
                self._listen(pcm)
            case Typed(text):
                self._interrupt()
                self._to_answer.put_nowait((text, False))
            case ToolResult(tool_use_id, content):
                self._results[tool_use_id].set_result(content)
            case Ended():
                return True
            case None:
                pass
        return False

    def _listen(self, pcm: bytes) -> None:
        self._activity = self._activity or VoiceActivity(self.session.input_rate)
        for change in self._activity.listen(pcm):
            if change is Speaking.STARTED:
                self._interrupt()
            else:
                heard = self._transcripts.next_utterance()
                self._note("heard", text=heard)
                self._to_answer.put_nowait((heard, True))

    def _interrupt(self) -> None:
        if self._speaking:
            self._interrupted.set()

    async def _answer_all(self) -> None:
        while True:
            text, spoken = await self._to_answer.get()
            completion = {
                "sessionId": self.id,
                "promptName": self.session.prompt,
                "completionId": str(uuid.uuid4()),
            }
            await self._event("completionStart", completion)
            if spoken:
                await self._text("USER", "FINAL", text, "PARTIAL_TURN", completion)
            first = not (self._spoke_before or self.session.history)
            turn = self._context.script.answer_to(text, first)
            result = await self._use_tool(turn, completion) if turn.tool else ""
            stop = await self._speak(turn.says.replace("{result}", result), completion)
            self._spoke_before = True
            tokens = {"input": {"speechTokens": 20, "textTokens": 5}}
            tokens["output"] = {"speechTokens": 30, "textTokens": 10}
            await self._event("usageEvent", {**completion, "details": {"delta": tokens}})
            await self._event("completionEnd", {**completion, "stopReason": stop})

    async def _use_tool(self, turn: Turn, completion: Mapping[str, Any]) -> str:
        """Call the client's tool and wait for the result."""
        offered = {tool.name for tool in self.session.tools}
        assert turn.tool in offered, f"the script wants {turn.tool}, the agent has {offered}"
        tool_use_id = str(uuid.uuid4())
        self.session.awaited_results.add(tool_use_id)
        self._results[tool_use_id] = asyncio.get_running_loop().create_future()
        content = {**completion, "contentId": str(uuid.uuid4()), "role": "TOOL"}
        media = {"mediaType": "application/json"}
        await self._event(
            "contentStart", {**content, "type": "TOOL", "toolUseOutputConfiguration": media}
        )
        use = {"toolName": turn.tool, "toolUseId": tool_use_id}
        await self._event("toolUse", {**content, **use, "content": json.dumps(turn.arguments)})
        await self._event("contentEnd", {**content, "type": "TOOL", "stopReason": "TOOL_USE"})
        result = await self._results[tool_use_id]
        del self._results[tool_use_id]
        return result

    async def _speak(self, says: str, completion: Mapping[str, Any]) -> str:
        """Send planned text and audio sentence by sentence, then the text that was spoken.

        Returns the stop reason. Audio is sent faster than real time; speech before the end
        of playback interrupts it.
        """
        self._interrupted.clear()
        self._speaking = True
        self._note("speaks", text=says)
        sentences = re.split(r"(?<=[.!?])\s+", says.strip())
        began = asyncio.get_running_loop().time()
        due, planned = 0.0, list[tuple[str, float]]()
        for sentence in sentences:
            pcm = await asyncio.to_thread(say, sentence, self.session.output_rate)
            await self._text("ASSISTANT", "SPECULATIVE", sentence, "PARTIAL_TURN", completion)
            due += seconds(pcm, self.session.output_rate)
            planned.append((sentence, began + due))
            last = sentence is sentences[-1]
            if not await self._sound(pcm, "END_TURN" if last else "PARTIAL_TURN", completion):
                break
        for sentence, heard_at in planned:
            unheard = asyncio.get_running_loop().time() < heard_at
            if unheard and await self._interrupted_before(heard_at):
                # A FINAL text that ends INTERRUPTED tells the client to drop audio not yet played.
                self._note("interrupted", sentence=sentence)
                notice = '{ "interrupted" : true }'
                await self._text("ASSISTANT", "FINAL", notice, "INTERRUPTED", completion)
                self._speaking = False
                return "INTERRUPTED"
            stop = "END_TURN" if sentence is sentences[-1] else "PARTIAL_TURN"
            await self._text("ASSISTANT", "FINAL", sentence, stop, completion)
        self._speaking = False
        self._note("spoke", text=says)
        return "END_TURN"

    async def _sound(self, pcm: bytes, stop: str, completion: Mapping[str, Any]) -> bool:
        """Send the audio of one sentence; return whether all of it was sent."""
        content = {**completion, "contentId": str(uuid.uuid4()), "role": "ASSISTANT"}
        config = {
            "mediaType": "audio/lpcm",
            "sampleRateHertz": self.session.output_rate,
            "sampleSizeBits": 16,
            "channelCount": 1,
            "encoding": "base64",
        }
        await self._event(
            "contentStart", {**content, "type": "AUDIO", "audioOutputConfiguration": config}
        )
        step = int(self.session.output_rate * _CHUNK_SECONDS) * 2
        for at in range(0, len(pcm), step):
            chunk = base64.b64encode(pcm[at : at + step]).decode()
            await self._event("audioOutput", {**content, "content": chunk})
            pause = asyncio.get_running_loop().time() + _CHUNK_SECONDS / _FASTER_THAN_REAL_TIME
            if await self._interrupted_before(pause):
                stop = "END_TURN"
                break
        await self._event("contentEnd", {**content, "type": "AUDIO", "stopReason": stop})
        return not self._interrupted.is_set()

    async def _interrupted_before(self, moment: float) -> bool:
        try:
            async with asyncio.timeout_at(moment):
                await self._interrupted.wait()
        except TimeoutError:
            pass
        return self._interrupted.is_set()

    async def _text(
        self, role: str, stage: str, text: str, stop: str, completion: Mapping[str, Any]
    ) -> None:
        content = {**completion, "contentId": str(uuid.uuid4()), "role": role}
        stage_field = json.dumps({"generationStage": stage})
        config = {"mediaType": "text/plain"}
        await self._event(
            "contentStart",
            {
                **content,
                "type": "TEXT",
                "additionalModelFields": stage_field,
                "textOutputConfiguration": config,
            },
        )
        await self._event("textOutput", {**content, "content": text})
        await self._event("contentEnd", {**content, "type": "TEXT", "stopReason": stop})

    async def _event(self, name: str, body: Mapping[str, Any]) -> None:
        inner = json.dumps({"event": {name: body}}).encode()
        await self._send_frame(
            eventstream.event("chunk", {"bytes": base64.b64encode(inner).decode()})
        )

    async def _send_frame(self, frame: bytes) -> None:
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    def _note(self, what: str, **detail: Any) -> None:
        self._context.journal.note(SERVICE, what, stream=self.id, **detail)


def _event(payload: bytes) -> Mapping[str, Any]:
    try:
        return json.loads(base64.b64decode(json.loads(payload)["bytes"]))
    except (KeyError, ValueError) as e:
        raise invalid("Invalid input request") from e


def _short(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for the journal: all but the IDs that only link events."""
    return {key: value for key, value in body.items() if key not in ("promptName", "contentName")}
