"""Owns finding random numbers that repeat: drawn in a session, seeded before the snapshot.

All sessions of a version are restored with the same generators. A generator that was seeded with a
value of the agent's choice repeats on every platform, so it is not reported.
"""

from __future__ import annotations

import functools
import random
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import captures

_SEED = "_voicecore_seeded"  # attribute of a generator
_CAPTURED, _HARMLESS = "by the system before the snapshot", "otherwise"
_DRAWS = ("random", "getrandbits")  # all other methods of Random draw by these
_REPLAYED = 20261112

_generators: weakref.WeakSet[random.Random] = weakref.WeakSet()
_numpy: dict[str, Any] = {"seeded": _CAPTURED, "replay": lambda: None}
_numpy_generators: weakref.WeakSet[Any] = weakref.WeakSet()


def install() -> None:
    """Watch `random` from now on: the agent has not imported it yet."""
    shared: random.Random = getattr(random, "_inst")  # noqa: B009 - private
    _generators.add(shared)
    for name in _DRAWS:
        setattr(random.Random, name, _drawing(getattr(random.Random, name)))
    for name in ("seed", "setstate"):
        setattr(random.Random, name, _seeding(getattr(random.Random, name)))
    for name in (*_DRAWS, "seed", "setstate"):
        setattr(random, name, getattr(shared, name))


def replay() -> None:
    """Give all captured generators the same state in every session."""
    for generator in tuple(_generators):
        if _seeded(generator) == _CAPTURED:
            generator.seed(_REPLAYED)
            setattr(generator, _SEED, _CAPTURED)
    _numpy["replay"]()


def watch_numpy(module: ModuleType) -> None:
    """Watch `numpy.random`: its functions, and generators without a seed of the agent's choice."""
    seed, default_rng = module.seed, module.default_rng

    def replay() -> None:
        if _numpy["seeded"] == _CAPTURED:
            seed(_REPLAYED)
        for generator in tuple(_numpy_generators):
            generator.bit_generator.state = default_rng(_REPLAYED).bit_generator.state

    _numpy["replay"] = replay
    shared = module.rand.__self__
    for name in module.__all__:
        function = getattr(module, name)
        draws = getattr(function, "__self__", None) is shared and name != "get_state"
        if draws or name in ("seed", "set_state"):
            setattr(module, name, _numpy_function(function, name in ("seed", "set_state")))
    # A module may have anything set; its type does not know this name.
    module.default_rng = _watched_rng(module)  # pyright: ignore[reportAttributeAccessIssue]


def _drawing(draw: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(draw)
    def watched(self: random.Random, *arguments: Any) -> Any:
        if captures.restored() and _seeded(self) == _CAPTURED:
            _report("random")
        return draw(self, *arguments)

    return watched


def _seeding(seed: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(seed)
    def watched(self: random.Random, *arguments: Any, **named: Any) -> None:
        seed(self, *arguments, **named)
        chosen = [value for value in (*arguments[:1], named.get("a")) if value is not None]
        captured = not chosen and not captures.restored()
        setattr(self, _SEED, _CAPTURED if captured else _HARMLESS)
        _generators.add(self)

    return watched


def _seeded(generator: random.Random) -> str:
    return getattr(generator, _SEED, _CAPTURED)


def _numpy_function(function: Callable[..., Any], seeds: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*arguments: Any, **named: Any) -> Any:
        if seeds and (arguments or named or captures.restored()):
            _numpy["seeded"] = _HARMLESS
        elif captures.restored() and _numpy["seeded"] == _CAPTURED:
            _report("numpy.random")
        return function(*arguments, **named)

    return watched


def _watched_rng(module: ModuleType) -> Callable[..., Any]:
    default_rng = module.default_rng

    base: Any = module.Generator

    class Watched(base):
        """A generator that reports its use in a session."""

        def __getattribute__(self, name: str) -> Any:
            if captures.restored() and not name.startswith("_"):
                _report("numpy.random")
            return object.__getattribute__(self, name)

    @functools.wraps(default_rng)
    def watched(seed: Any = None) -> Any:
        made = default_rng(seed)
        if seed is not None or captures.restored():
            return made
        generator = Watched(made.bit_generator)
        _numpy_generators.add(generator)
        return generator

    return watched


def _report(library: str) -> None:
    frame = captures.caller("/random.py")
    line = captures.users_line(frame)
    # Libraries draw for retries and the like. Of these, ids of traces must not repeat.
    if line is None and frame and "/opentelemetry/" in frame.f_code.co_filename:
        line = f"opentelemetry{frame.f_code.co_filename.rpartition('/opentelemetry')[2]}"
        line = f"{line}:{frame.f_lineno}"
    if line:
        captures.report(
            library,
            line,
            f"`{library}` gives the same numbers to all sessions: {line} draws from a generator "
            "that was seeded before the snapshot. Seed it at the start of each session, or draw "
            "from os.urandom, as `secrets` and random.SystemRandom do.",
        )
