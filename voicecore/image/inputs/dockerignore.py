"""Owns .dockerignore: which paths its patterns exclude from the build context, as in Docker.

All patterns become one automaton that each character of a path moves once, because a backtracking
regular expression can take years for a pattern such as `**/*a*a*a*a*a*b`. Meaning of the patterns:
moby/patternmatcher, patternmatcher.go and ignorefile/ignorefile.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

_STATES_MAX = 20_000
"""States that are remembered, about 20 MB."""

_Test = Callable[[str], bool]


@dataclass(frozen=True)
class _Token:
    """One position of a pattern."""

    takes: _Test | None = None
    """Accepts a character and moves on."""
    repeats: _Test | None = None
    """Accepts a character and stays."""
    jumps: tuple[int, ...] = ()
    """Distances to the positions that are reached without a character."""
    ends: int = -1
    """Number of the pattern that ends here."""


@dataclass(eq=False)
class State:
    """The positions that a path has reached in all patterns."""

    positions: frozenset[int]
    last: int
    """Number of the last pattern that matches the path; -1 for none."""
    after: dict[str, State] = field(default_factory=dict[str, "State"])
    """Known states after one more character."""


class IgnoreRules:
    """The patterns of a .dockerignore; the last one that matches a path or its folder decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the patterns. Raises ValueError, which names the line."""
        self._tokens: list[_Token] = []
        self._included: list[str | None] = []
        """For each pattern its text if it starts with `!`."""
        starts: list[int] = []
        for number, line in enumerate(lines, 1):
            pattern = "" if line.startswith("#") else line.strip()
            included = pattern.startswith("!")
            text = pattern.removeprefix("!").strip()
            if not pattern:
                continue
            try:
                if not text:
                    raise ValueError("it excludes nothing")
                text = posixpath.normpath(text)
                text = text.lstrip("/") or text
                starts.append(len(self._tokens))
                self._tokens += _tokens_of(text)
            except ValueError as error:
                raise ValueError(f"line {number}: {pattern}: {error}") from None
            self._tokens.append(_Token(ends=len(self._included)))
            self._included.append(text if included else None)
        self._states: dict[frozenset[int], State] = {}
        self.start = self._state(starts)
        """State before the first character of a path."""

    def after(self, state: State, text: str) -> State:
        """Return the state after more characters of a path."""
        for character in text:
            state = state.after.get(character) or self._step(state, character)
        return state

    def excludes(self, last: int) -> bool:
        """Return whether a path is excluded; `last` is that of its state or of a folder above."""
        return last >= 0 and self._included[last] is None

    def may_include_in(self, folder: str) -> bool:
        """Return whether a pattern with `!` may match in a folder that is excluded."""
        return any(text and f"{text}/".startswith(f"{folder}/") for text in self._included)

    def _step(self, state: State, character: str) -> State:
        reached: list[int] = []
        for position in state.positions:
            token = self._tokens[position]
            if token.takes and token.takes(character):
                reached.append(position + 1)
            if token.repeats and token.repeats(character):
                reached.append(position)
        found = self._state(reached)
        state.after[character] = found
        return found

    def _state(self, reached: Sequence[int]) -> State:
        positions: set[int] = set()
        waiting = list(reached)
        while waiting:
            position = waiting.pop()
            if position not in positions:
                positions.add(position)
                waiting += [position + distance for distance in self._tokens[position].jumps]
        key = frozenset(positions)
        if key not in self._states:
            if len(self._states) >= _STATES_MAX:
                for known in self._states.values():
                    known.after.clear()
                self._states.clear()
            last = max((self._tokens[position].ends for position in key), default=-1)
            self._states[key] = State(key, last)
        return self._states[key]


def _tokens_of(pattern: str) -> Iterator[_Token]:
    """Yield the positions of a pattern. Raises ValueError for one that Docker refuses."""
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            at += pattern.startswith("/", at)
            if at == len(pattern):
                yield _Token(repeats=_any, jumps=(1,))
            else:  # any number of folders, or none
                yield _Token(jumps=(1, 2))
                yield _Token(repeats=_any, takes="/".__eq__)
        elif character == "*":
            yield _Token(repeats="/".__ne__, jumps=(1,))
        elif character == "?":
            yield _Token(takes="/".__ne__)
        elif character == "[":
            test, at = _class_at(pattern, at)
            yield _Token(takes=test)
        elif character == "\\":
            character, at = _member_at(pattern, at - 1)
            yield _Token(takes=character.__eq__)
        else:
            yield _Token(takes=character.__eq__)


def _any(_: str) -> bool:
    return True


def _class_at(pattern: str, at: int) -> tuple[_Test, int]:
    """Return the test of a character class and where it ends (Go's filepath.Match)."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", at)):
        if pattern[at : at + 1] in ("-", "]"):
            raise ValueError("a range in [ ] has no first character")
        low, at = _member_at(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member_at(pattern, at + 1)
        if low > high:
            raise ValueError(f"[{low}-{high}] is not a range")
        ranges.append((low, high))

    def test(character: str) -> bool:
        return negated != any(low <= character <= high for low, high in ranges)

    return test, at + 1


def _member_at(pattern: str, at: int) -> tuple[str, int]:
    """Return a character, without the backslash before it, and where it ends."""
    at += pattern.startswith("\\", at)
    if at >= len(pattern):
        raise ValueError("it ends with a backslash" if pattern.endswith("\\") else "] is missing")
    return pattern[at], at + 1
