"""Owns the jitter buffer between the network and the speaker, which can be emptied at once."""

from __future__ import annotations

import threading

from voicecore.talk.audio import pcm

_CUSHION = pcm.VOICE_RATE * 60 // 1000
"""Samples to gather before an utterance starts: Pipecat sends chunks of 40 ms, so 60 ms bridge a
chunk that is half its length late."""
SECONDS_MAX = 300
"""Audio that may wait: 14.4 MB. An agent sends about as fast as it speaks, so more than this is a
fault, or an attack."""
_BYTES_MAX = 2 * pcm.VOICE_RATE * SECONDS_MAX
_PATIENCE = 3
"""Pulls (about 20 ms each) after which an utterance starts with less than the cushion."""


class JitterBuffer:
    """Mono 16-bit PCM at VOICE_RATE: pushed as it arrives, pulled as a device's clock asks.

    The audio system's thread pulls and the event loop pushes, so a lock guards the buffer.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._started = False
        self._waited = 0
        self._lock = threading.Lock()
        self.gaps = 0
        """Number of times an utterance ran dry and continued later."""
        self._dry = False

    def push(self, audio: bytes) -> None:
        """Queue the agent's voice."""
        with self._lock:
            self._buffer += audio

    def pull(self, samples: int) -> bytes:
        """Return the next `samples` samples, filled up with silence."""
        size = 2 * samples
        with self._lock:
            if not self._started and not self._ready():
                return bytes(size)
            if not self._started:
                self._started = True
                self.gaps += self._dry
            audio = bytes(self._buffer[:size])
            del self._buffer[:size]
            if len(audio) < size:
                self._started, self._waited, self._dry = False, 0, True
        return audio + bytes(size - len(audio))

    def _ready(self) -> bool:
        if not self._buffer:
            return False
        self._waited += 1
        return len(self._buffer) >= 2 * _CUSHION or self._waited > _PATIENCE

    def flush(self) -> None:
        """Drop what was not played yet: the user speaks."""
        with self._lock:
            self._buffer.clear()
            self._started, self._waited, self._dry = False, 0, False

    def utterance_ended(self) -> None:
        """Take note that the agent paused: running dry after this is not a gap."""
        with self._lock:
            self._dry = False

    @property
    def full(self) -> bool:
        """True when SECONDS_MAX of audio wait: what comes now is to be dropped."""
        return len(self._buffer) >= _BYTES_MAX

    @property
    def empty(self) -> bool:
        """True when everything that arrived was played."""
        return not self._buffer
