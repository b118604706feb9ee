"""The agent's voice on its way to an ear: a jitter buffer that can be emptied at once."""

from __future__ import annotations

import threading

from voicecore.talk.audio import pcm

_CUSHION = pcm.VOICE_RATE * 60 // 1000
"""Samples that are gathered before an utterance starts: Pipecat sends chunks of 40 ms, so 60 ms
ride out a chunk that is half its length late."""
_PATIENCE = 3
"""Pulls (each about 20 ms) after which an utterance starts with less than the cushion."""


class Playback:
    """Mono 16-bit PCM at VOICE_RATE: pushed as it arrives, pulled as the clock of a device asks.

    Pulled from the sound system's thread, pushed from the event loop: hence the lock.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._started = False
        self._waited = 0
        self._lock = threading.Lock()
        self.gaps = 0
        """How often an utterance ran dry and went on later."""
        self._dry = False

    def push(self, sound: bytes) -> None:
        """Queue what the agent says."""
        with self._lock:
            self._buffer += sound

    def pull(self, samples: int) -> bytes:
        """The next `samples` samples; silence where there is nothing to say."""
        wanted = 2 * samples
        with self._lock:
            if not self._started and not self._ready():
                return bytes(wanted)
            if not self._started:
                self._started = True
                self.gaps += self._dry
            sound = bytes(self._buffer[:wanted])
            del self._buffer[:wanted]
            if len(sound) < wanted:
                self._started, self._waited, self._dry = False, 0, True
        return sound + bytes(wanted - len(sound))

    def _ready(self) -> bool:
        if not self._buffer:
            return False
        self._waited += 1
        return len(self._buffer) >= 2 * _CUSHION or self._waited > _PATIENCE

    def flush(self) -> None:
        """Forget what is unheard: the user speaks."""
        with self._lock:
            self._buffer.clear()
            self._started, self._waited, self._dry = False, 0, False

    def utterance_ended(self) -> None:
        """The agent has paused; running dry after this is no gap."""
        with self._lock:
            self._dry = False

    @property
    def empty(self) -> bool:
        """Whether everything that arrived has been heard."""
        return not self._buffer
