"""What the user said and the agent has not finished hearing: kept to be said again.

A stream to AgentCore ends after 60 minutes, and a network may fail at any time. What was spoken
since the last finished turn, and during the gap, is sent again on the next connection.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicecore.talk.audio import pcm

LIMIT_MS = 30_000
"""Longest memory. A turn longer than this loses its beginning after a reconnect."""
_PAUSE = 200 // pcm.BLOCK_MS
"""Blocks of silence that end an utterance, as they do for the agent's VAD (stop_secs 0.2)."""
_LEAD = 300 // pcm.BLOCK_MS
"""Blocks of silence kept before an utterance: a VAD needs some to hear the utterance begin."""


@dataclass(frozen=True)
class Block:
    """BLOCK_MS of what the user said, and whether it holds voice."""

    sound: bytes
    voiced: bool = False


class Ring:
    """The blocks since the last finished user turn, in order; the oldest fall out at LIMIT_MS."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()
        self._sent = 0  # how many of the blocks this connection has already carried
        self._voiced = 0  # how many of the blocks hold voice

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def waiting(self) -> int:
        """How many blocks are still to be sent on this connection."""
        return len(self._blocks) - self._sent

    def add(self, block: Block) -> None:
        """Keep a block that was just captured."""
        self._blocks.append(block)
        self._voiced += block.voiced
        silence = not self._voiced and self._sent > _LEAD
        if silence or len(self._blocks) * pcm.BLOCK_MS > LIMIT_MS:
            self._forget(1)

    def take(self, limit: int) -> bytes:
        """Up to `limit` blocks not sent on this connection yet; they count as sent."""
        end = min(len(self._blocks), self._sent + limit)
        taken = b"".join(self._blocks[index].sound for index in range(self._sent, end))
        self._sent = end
        return taken

    def rewind(self) -> None:
        """A new connection begins: everything kept is to be sent on it."""
        self._sent = 0

    def turn_finished(self) -> None:
        """The agent holds the user's turn: forget it, but not what was said after it.

        The word that a turn is finished arrives late, when the user may be speaking again. So a
        phrase that a pause separates from the turn stays, and so does what was not sent yet.
        """
        self._forget(min(self._end_of_turn(), self._sent))

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

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._voiced -= self._blocks.popleft().voiced
        self._sent = max(0, self._sent - count)
