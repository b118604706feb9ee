"""Owns the stand-in for Transcribe's streaming WebSocket, with partial and final results.

https://docs.aws.amazon.com/transcribe/latest/dg/streaming-websocket.html. aiohttp serves it
because Pipecat sends duplicate Connection and Sec-WebSocket-Key headers, which stricter servers
refuse.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMsgType, web

from tests.standins.models import eventstream
from tests.standins.models.context import StandinContext
from tests.standins.models.refusal import Refused
from tests.standins.models.script import Transcripts
from tests.standins.models.sigv4 import Request, check_presigned
from tests.standins.models.speech import Speaking, VoiceActivity, seconds

SERVICE = "transcribe"
PATH = "/stream-transcription-websocket"
_LANGUAGE = "en-US"  # the script is English
_PAUSE_SECONDS = 0.4  # after which a result is final


class Transcribe:
    """The service. All connections share its transcripts, so a new one gets the next."""

    def __init__(self, context: StandinContext) -> None:
        self._context = context
        self._transcripts = Transcripts(context.script)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        context = self._context
        sent = Request(
            request.method,
            request.raw_path.partition("?")[0],
            request.rel_url.raw_query_string,
            {name.lower(): value for name, value in request.headers.items()},
        )
        try:
            check_presigned(sent, context.keys, context.region, SERVICE)
        except Refused as refused:
            context.journal.note(SERVICE, "refused", kind=refused.kind, message=refused.message)
            return web.Response(status=refused.status, headers=refused.headers, body=refused.body)
        socket = web.WebSocketResponse(protocols=("mqtt",))
        await socket.prepare(request)
        context.journal.note(SERVICE, "opened", **_asked(request))
        try:
            rate = check_settings(request.query)
            await self._transcribe(socket, rate)
        except Refused as refused:
            context.journal.note(SERVICE, "refused", kind=refused.kind, message=refused.message)
            await socket.send_bytes(eventstream.exception(refused, key="Message"))
        await socket.close()
        context.journal.note(SERVICE, "closed")
        return socket

    async def _transcribe(self, socket: web.WebSocketResponse, rate: int) -> None:
        activity, clock, words = VoiceActivity(rate, stop=_PAUSE_SECONDS), 0.0, ""
        began = 0.0
        results = map(str, itertools.count(1))
        result_id = ""
        while True:
            pcm = await self._next_audio(socket)
            if pcm is None:
                return
            clock += seconds(pcm, rate)
            for change in activity.listen(pcm):
                if change is Speaking.STARTED:
                    words, began, result_id = (
                        self._transcripts.next_utterance(),
                        clock,
                        next(results),
                    )
                    guess = words.partition(" ")[0]
                    await socket.send_bytes(_result(result_id, guess, (began, clock), partial=True))
                else:
                    self._context.journal.note(SERVICE, "heard", text=words)
                    span = (began, clock - _PAUSE_SECONDS)
                    await socket.send_bytes(_result(result_id, words, span, partial=True))
                    await socket.send_bytes(_result(result_id, words, span, partial=False))

    async def _next_audio(self, socket: web.WebSocketResponse) -> bytes | None:
        """Return the audio of the next audio event; None at the end of the stream."""
        limit = self._context.limits.transcribe_idle
        try:
            message = await socket.receive(timeout=limit)
        except TimeoutError as e:
            text = "Your request timed out because no new audio was received for 15 seconds."
            raise Refused("BadRequestException", text) from e
        if message.type is WSMsgType.TEXT:
            return b""  # Pipecat ends with a JSON text that is unknown to Transcribe
        if message.type is not WSMsgType.BINARY:
            return None
        for frame in eventstream.Decoder().feed(message.data):
            if frame.headers.get(":event-type") != "AudioEvent":
                raise Refused("BadRequestException", "An AudioEvent was expected.")
            return frame.payload or None
        raise Refused("BadRequestException", "The frame is incomplete.")


def check_settings(query: Mapping[str, str]) -> int:
    """Return the sample rate. Raises Refused for settings that Transcribe refuses."""
    if query.get("language-code") != _LANGUAGE:
        raise Refused("BadRequestException", f"The script is {_LANGUAGE}: {dict(query)}")
    if query.get("media-encoding") not in ("pcm", "ogg-opus", "flac"):
        raise Refused("BadRequestException", "media-encoding must be pcm, ogg-opus or flac.")
    rate = query.get("sample-rate", "")
    if not rate.isdigit() or not 8000 <= int(rate) <= 48000:
        raise Refused("BadRequestException", "sample-rate must be between 8000 and 48000.")
    if query.get("partial-results-stability", "high") not in ("low", "medium", "high"):
        raise Refused("BadRequestException", "partial-results-stability: low, medium or high.")
    return int(rate)


def _asked(request: web.Request) -> dict[str, Any]:
    return {key: value for key, value in request.query.items() if not key.startswith("X-Amz-")}


def _result(result_id: str, text: str, span: tuple[float, float], *, partial: bool) -> bytes:
    start, end = span
    items = [{"Content": word, "Type": "pronunciation", "StartTime": start, "EndTime": end}
             for word in text.split()]  # fmt: skip
    result = {
        "ResultId": result_id,
        "IsPartial": partial,
        "StartTime": start,
        "EndTime": end,
        "Alternatives": [{"Transcript": text, "Items": items}],
    }
    return eventstream.event("TranscriptEvent", {"Transcript": {"Results": [result]}})
