"""What the stand-in models hear and say: a conversation written down before it is held."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_ARGUMENTS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Turn:
    """One exchange: what the caller is taken to have said, and the model's answer to it.

    With `tool`, the model asks for that tool first; `{result}` in `says` is then the tool's
    answer, which shows that it came back.
    """

    heard: str
    says: str
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)


@dataclass(frozen=True)
class Script:
    """The conversation. What is not in it is echoed, so a talk never stalls."""

    turns: tuple[Turn, ...] = ()
    greeting: str = "Hello, how can I help you?"

    def answer_to(self, text: str, first: bool = False) -> Turn:
        """Returns the turn in which `text` was said (letters and digits count, nothing else).

        Words nobody foresaw are a request to greet when they are the `first` of a conversation.
        """
        said = _bare(text)
        for turn in self.turns:
            if _bare(turn.heard) == said:
                return turn
        return Turn(heard=text, says=self.greeting if first else f"You said: {text}")


class Ears:
    """The ears of one speech model: the n-th utterance it hears is the script's n-th line."""

    def __init__(self, script: Script) -> None:
        self._lines = itertools.chain(
            (turn.heard for turn in script.turns), (f"utterance {n}" for n in itertools.count(1))
        )

    def next_utterance(self) -> str:
        return next(self._lines)


def _bare(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))
