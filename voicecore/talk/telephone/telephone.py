"""Owns the telephone: calls a server as its provider does, and holds the media socket."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from voicecore.catalog.phones.answers import Connect, Dial, HangUp, Say
from voicecore.catalog.phones.media import (
    KEYPAD,
    BadMessage,
    Clear,
    Mark,
    MediaCommand,
    MediaStream,
    Play,
    Press,
)
from voicecore.catalog.phones.signaling import Credentials, PhoneCall
from voicecore.console.errors import VoicecoreError
from voicecore.console.proxies import proxy_for
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import Channel, Connected, Deliver, HungUp, Note
from voicecore.talk.no_answer import why_no_answer
from voicecore.talk.session_client import START_OWN, ServerUnreachable, body_of
from voicecore.talk.telephone.g711 import PhoneLine
from voicecore.talk.telephone.media_leg import MediaLeg
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import MESSAGE_MAX, ConnectionLost

_ANSWER_SECONDS = 15.0
"""Twilio waits this long for the answer to its webhook; the others do not wait longer."""
_GOODBYE_SECONDS = 2.0
_CLOSE_TIMEOUT = cast("Any", aiohttp.ClientWSTimeout)(ws_close=_GOODBYE_SECONDS)
_REFUSALS_MAX, _REASON_MAX = 20, 300
"""Refusals that are told, and characters of each: a server writes both."""
_NO_STATUS = 1005
"""Close code of a socket that was closed without one (RFC 6455)."""


class CallNotAccepted(VoicecoreError):
    """The server does not accept the call."""


class Telephone(Channel):
    """One call to the server at `url`, as the call's provider would bring it there."""

    greeting_seconds = 30.0
    """The media socket opens before the agent has started, for which AgentCore gives it this
    long."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        call: PhoneCall,
        credentials: Credentials,
        deliver: Deliver,
    ) -> None:
        super().__init__(deliver)
        self._http, self._url = http, url.rstrip("/")
        self._call, self._credentials = call, credentials
        self._public = credentials.get("PUBLIC_URL", self._url).rstrip("/")
        """Public URL of the server: signatures cover it, wherever the server is reached."""
        self._signaling, self._media = call.phone.signaling(), call.phone.media()
        self._line = PhoneLine(self._media)
        self._leg: MediaLeg | None = None
        self._refused: set[str] = set()

    def say(self, block: SpeechBlock) -> None:
        """Send BLOCK_MS of the caller's voice."""
        if self._leg:
            self._leg.say(self._line.to_provider(block.audio))

    def press(self, key: str) -> bool:
        """Press a key; return False for another character, or without a call."""
        if self._leg is None or key not in KEYPAD:
            return False
        self._leg.press(key)
        return True

    def type(self, text: str) -> None:
        """Do nothing: a telephone carries no text."""

    def turn_finished(self) -> None:
        """Do nothing: what was said is not kept."""

    async def stop(self) -> None:
        """Do nothing: a server ends the session of a call that has ended."""

    async def run(self) -> None:
        """Hold the call until the server ends it; cancel this to hang up.

        Raises ServerUnreachable, CallNotAccepted, AnswerRefused, MissingCredential or
        ConnectionLost.
        """
        for step in self._signaling.read_answer(await self._request_answer()):
            match step:
                case Connect(url, parameters):
                    await self._connect(url, self._call.media(parameters))
                case Say(text):
                    self._deliver(Note(f"the provider says: {text[: rtvi.TEXT_MAX]}"))
                case Dial(number):
                    self._deliver(Note(f"the call is transferred to {number}"))
                    break
                case HangUp(rejected):
                    if rejected:
                        raise self._not_accepted("it rejects the call")
                    break
        self._deliver(HungUp())

    async def _request_answer(self) -> str:
        """Return the server's answer to the call."""
        request = self._signaling.answer_request(self._call, self._call.phone.webhook(self._public))
        headers = self._signaling.sign(request, self._credentials, time.time())
        try:
            async with self._http.request(
                request.method,
                self._reachable(request.address),
                data=request.body or None,
                headers={"Content-Type": request.content_type, **headers},
                proxy=proxy_for(self._reachable(request.address)),
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            ) as response:
                text = (await body_of(response)).decode(errors="replace")
                if response.status >= 400:
                    raise self._not_accepted(f"HTTP {response.status} {text[:200]}".strip())
                return text
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # ValueError of a host that no DNS has
            reason, advice = why_no_answer(error, self._reachable(request.address), START_OWN)
            raise ServerUnreachable(
                f"The server at {self._url} does not answer the telephone: {reason}.", advice
            ) from error

    def _not_accepted(self, reason: str) -> CallNotAccepted:
        phone = self._call.phone
        return CallNotAccepted(
            f"The server at {self._url} does not accept {phone.title}'s call to "
            f"{self._call.called}: {reason}.",
            "Does its project have the provider?  "
            f"voicecore add telephony --provider {phone.name}\n"
            "Is the number in PHONE_NUMBERS in its server/.env?",
        )

    async def _connect(self, url: str, stream: MediaStream) -> None:
        headers = self._signaling.sign_media(url, self._credentials, time.time())
        try:
            async with self._http.ws_connect(
                # The signature covers the URL as it is written: decoding it would break it.
                URL(self._reachable(url), encoded=True),
                headers=headers,
                proxy=proxy_for(self._reachable(url)),
                timeout=_CLOSE_TIMEOUT,
                max_msg_size=MESSAGE_MAX,
            ) as socket:
                await self._hold(MediaLeg(self._media, stream, socket, self._receive))
        except aiohttp.WSServerHandshakeError as error:
            raise self._lost(f"its handshake was refused with HTTP {error.status}") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._lost(why_no_answer(error, self._reachable(url), "")[0]) from error
        if socket.close_code not in (aiohttp.WSCloseCode.OK, _NO_STATUS):
            raise self._lost(f"it was closed with code {socket.close_code}")

    async def _hold(self, leg: MediaLeg) -> None:
        try:
            await leg.open()
            self._leg = leg
            self._deliver(Connected(resumed=False))
            await leg.hold()
        finally:
            self._leg = None
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await leg.hang_up()

    def _lost(self, reason: str) -> ConnectionLost:
        error = ConnectionLost(
            f"The call's media socket failed: {reason}.",
            "`voicecore dev` in another terminal shows what server and agent report.",
        )
        error.session_id = self._call.session_id
        return error

    def _receive(self, command: MediaCommand | BadMessage) -> None:
        match command:
            case Play(audio):
                self._deliver(self._line.to_caller(audio))
            case Clear():
                self._deliver(pipecat_frames.Interruption())
            case Press(keys):
                self._deliver(Note(f"the agent presses {keys[:_REASON_MAX]}"))
            case Mark():
                pass
            case BadMessage():
                self._note_refusal(str(command))

    def _note_refusal(self, reason: str) -> None:
        if reason not in self._refused and len(self._refused) < _REFUSALS_MAX:
            self._refused.add(reason)
            title = self._call.phone.title
            self._deliver(Note(f"{title} refuses what the server sent: {reason[:_REASON_MAX]}"))

    def _reachable(self, url: str) -> str:
        """Return the URL at which the server is reached, for one that has its public address."""
        parts, public, own = urlsplit(url), urlsplit(self._public), urlsplit(self._url)
        if parts.netloc != public.netloc:
            return url
        media = parts.scheme in ("ws", "wss")
        scheme = own.scheme.replace("http", "ws", 1) if media else own.scheme
        return urlunsplit((scheme, own.netloc, parts.path, parts.query, ""))
