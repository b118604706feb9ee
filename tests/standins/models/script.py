"""Owns the script of a conversation: what the stand-in models hear and answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_ARGUMENTS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Turn:
    """One exchange: the transcript of the caller's utterance, and the model's answer.

    With `tool`, the model calls that tool first; `{result}` in `says` becomes the tool's result,
    which proves that it came back.
    """

    heard: str
    says: str
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)


@dataclass(frozen=True)
class Script:
    """The conversation. Unknown utterances are echoed, so that a call never stalls."""

    turns: tuple[Turn, ...] = ()
    greeting: str = "Hello, how can I help you?"

    def answer_to(self, text: str, first: bool = False) -> Turn:
        """Return the turn with the utterance `text` (only letters and digits count).

        An unknown utterance that is the `first` of a conversation is answered with the greeting.
        """
        said = _bare(text)
        for turn in self.turns:
            if _bare(turn.heard) == said:
                return turn
        return Turn(heard=text, says=self.greeting if first else f"You said: {text}")


class Transcripts:
    """Transcripts of one speech model: the n-th utterance gets the script's n-th line."""

    def __init__(self, script: Script) -> None:
        self._lines = itertools.chain(
            (turn.heard for turn in script.turns), (f"utterance {n}" for n in itertools.count(1))
        )

    def next_utterance(self) -> str:
        return next(self._lines)


def _bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))
