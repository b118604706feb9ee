"""Owns the blanks between pieces of text: Chinese and Japanese have none between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A blank after full-width punctuation, which includes one.
_STRAY = re.compile(r"(?<=[\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]) ")


def joined(texts: Iterable[str]) -> str:
    """Return the pieces as one text."""
    return _STRAY.sub("", " ".join(texts))
