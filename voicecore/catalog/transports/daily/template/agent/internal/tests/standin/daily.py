"""A fake of the library daily-python: audio and messages go to daily_cloud.py.

It has the parts that Pipecat's transport uses, and calls back from its own threads, like the
original.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

Completion = Callable[..., None]


class LogLevel(Enum):
    """The minimum level of log messages."""

    Off = 0


class EventHandler:
    """The receiver of a CallClient's events; Pipecat's client is one."""


class AudioData: ...


class VideoFrame: ...


class CustomVideoSource: ...


class CustomVideoTrack: ...


class CustomAudioSource:
    """A microphone that takes audio in real time."""

    _all: dict[int, CustomAudioSource] = {}
    _numbers = itertools.count()

    def __init__(self, sample_rate: int, channels: int, auto_silence: bool = True) -> None:
        self.rate, self.id = sample_rate, next(self._numbers)
        self.send: Callable[[bytes, int], None] = lambda *_: None
        self._pending: queue.SimpleQueue[tuple[bytes, Completion]] = queue.SimpleQueue()
        self._all[self.id] = self
        threading.Thread(target=self._speak, daemon=True).start()

    def write_frames(self, frames: bytes, completion: Completion) -> None:
        self._pending.put((frames, completion))

    def _speak(self) -> None:
        due = 0.0
        while True:
            frames, completion = self._pending.get()
            due = max(due, time.monotonic()) + len(frames) / 2 / self.rate
            self.send(frames, self.rate)
            time.sleep(max(0.0, due - time.monotonic()))
            completion(len(frames) // 2)

    @classmethod
    def of(cls, track: str) -> CustomAudioSource | None:
        return cls._all.get(int(track)) if track.isdecimal() else None


class CustomAudioTrack:
    """A track, of which only the name is used."""

    def __init__(self, source: CustomAudioSource) -> None:
        self.id = str(source.id)


class VirtualSpeakerDevice:
    """Returns the audio of all callers, as it arrives."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._heard = bytearray()
        self._changed = threading.Condition()
        self._requests: queue.SimpleQueue[tuple[int, Completion]] = queue.SimpleQueue()
        threading.Thread(target=self._give, daemon=True).start()

    def read_frames(self, frames: int, completion: Completion) -> None:
        self._requests.put((frames, completion))

    def hear(self, sound: bytes, rate: int) -> None:
        assert rate == self._rate, "callers must send at the rate of the speaker"
        with self._changed:
            self._heard += sound
            self._changed.notify()

    def _give(self) -> None:
        while True:
            frames, completion = self._requests.get()
            completion(self._next(2 * frames))

    def _next(self, size: int) -> bytes:
        with self._changed:
            complete = self._changed.wait_for(lambda: len(self._heard) >= size, 0.1)
            sound = bytes(self._heard[:size]) if complete else b""
            del self._heard[: len(sound)]
        return sound


class Daily:
    """The global functions of the library."""

    speaker: VirtualSpeakerDevice | None = None

    @staticmethod
    def init() -> None: ...

    @staticmethod
    def set_log_level(level: LogLevel) -> None: ...

    @classmethod
    def create_speaker_device(cls, name: str, sample_rate: int, **_: Any) -> VirtualSpeakerDevice:
        cls.speaker = VirtualSpeakerDevice(sample_rate)
        return cls.speaker

    @staticmethod
    def select_speaker_device(name: str) -> None: ...


class CallClient:
    """A connection to a room, at the cloud at DAILY_CLOUD (host:port)."""

    def __init__(self, event_handler: EventHandler) -> None:
        self._events = event_handler
        self._socket: socket.socket | None = None
        self._writing = threading.Lock()
        self._waiting: dict[str, Completion] = {}
        self._ice: Any = None

    def set_user_name(self, name: str) -> None: ...

    def update_subscription_profiles(self, profiles: Any) -> None: ...

    def set_ice_config(self, config: Any) -> None:
        self._ice = config

    def join(
        self, url: str, token: str | None, completion: Completion, client_settings: Any
    ) -> None:
        track = client_settings["inputs"]["microphone"]["settings"]["customTrack"]["id"]
        if source := CustomAudioSource.of(track):
            source.send = self._say
        host, _, port = os.environ["DAILY_CLOUD"].rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        threading.Thread(target=self._listen, args=(self._socket,), daemon=True).start()
        self._ask("join", completion, url=url, token=token, ice=self._ice)

    def leave(self, completion: Completion) -> None:
        self._ask("leave", completion)

    def release(self) -> None:
        if self._socket:
            self._socket.close()

    def participants(self) -> dict[str, Any]:
        return {}

    def send_app_message(
        self, message: Any, participant: str | None, completion: Completion
    ) -> None:
        self._ask("message", completion, message=message)

    def start_dialout(self, settings: Any, completion: Completion) -> None:
        self._ask("dialout", completion, settings=settings)

    def _say(self, frames: bytes, rate: int) -> None:
        self._write({"do": "sound", "rate": rate, "sound": base64.b64encode(frames).decode()})

    def _ask(self, what: str, completion: Completion, **more: Any) -> None:
        self._waiting[what] = completion
        self._write({"do": what, **more})

    def _write(self, line: dict[str, Any]) -> None:
        with self._writing:
            if self._socket:
                try:
                    self._socket.sendall(json.dumps(line).encode() + b"\n")
                except OSError:
                    self._socket = None

    def _listen(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "sound" in message:
                    if Daily.speaker:
                        Daily.speaker.hear(base64.b64decode(message["sound"]), message["rate"])
                elif "done" in message:
                    self._waiting.pop(message["done"])(*message["results"])
                else:
                    getattr(self._events, message["event"])(*message["arguments"])
