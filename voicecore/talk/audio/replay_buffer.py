"""Owns the buffer of speech that the agent has not understood yet, kept to be sent again.

A stream to AgentCore ends after 60 minutes, and a network may fail at any time. What was spoken
since the last finished turn, and during the gap, is sent again on the next connection.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicecore.talk.audio import pcm

LIMIT_MS = 30_000
"""Length of the buffer. A turn longer than this loses its beginning after a reconnect."""
_PAUSE = 200 // pcm.BLOCK_MS
"""Blocks of silence that end an utterance, as they do for the agent's VAD (stop_secs 0.2)."""
_LEAD = 300 // pcm.BLOCK_MS
"""Blocks of silence kept before an utterance: a VAD needs some to detect its beginning."""


@dataclass(frozen=True)
class SpeechBlock:
    """BLOCK_MS of the user's voice, PCM at SPEECH_RATE."""

    audio: bytes
    voiced: bool = False
    """True when the block holds voice."""


class ReplayBuffer:
    """The blocks since the last finished turn of the user, in order; at most LIMIT_MS of them."""

    def __init__(self) -> None:
        self._blocks: deque[SpeechBlock] = deque()
        self._sent = 0  # blocks that this connection has carried
        self._voiced = 0  # blocks that hold voice

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def waiting(self) -> int:
        """Number of blocks not sent on this connection yet."""
        return len(self._blocks) - self._sent

    def add(self, block: SpeechBlock) -> None:
        """Keep a block that was just captured."""
        self._blocks.append(block)
        self._voiced += block.voiced
        silence = not self._voiced and self._sent > _LEAD
        if silence or len(self._blocks) * pcm.BLOCK_MS > LIMIT_MS:
            self._drop(1)

    def take(self, limit: int) -> bytes:
        """Return up to `limit` blocks not sent on this connection yet, and count them as sent."""
        end = min(len(self._blocks), self._sent + limit)
        taken = b"".join(self._blocks[index].audio for index in range(self._sent, end))
        self._sent = end
        return taken

    def rewind(self) -> None:
        """Begin a new connection: everything kept is to be sent on it."""
        self._sent = 0

    def turn_finished(self) -> None:
        """Drop the user's finished turn, but not what was said after it.

        The agent reports the end of a turn late, when the user may be speaking again. So a phrase
        that a pause separates from the turn stays, and so does what was not sent yet.
        """
        self._drop(min(self._end_of_turn(), self._sent))

    def _end_of_turn(self) -> int:
        start_of_phrase, pause = len(self._blocks), 0
        for index in reversed(range(len(self._blocks))):
            if not self._blocks[index].voiced:
                pause += 1
            elif pause >= _PAUSE:
                return max(index + 1, start_of_phrase - _LEAD)
            else:
                start_of_phrase, pause = index, 0
        return len(self._blocks)  # one phrase only: it is the turn

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._voiced -= self._blocks.popleft().voiced
        self._sent = max(0, self._sent - count)
