"""Owns what all stand-ins of one run share: region, keys, script, limits and journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.standins.models.journal import Journal
from tests.standins.models.script import Script
from tests.standins.models.sigv4 import Keys


@dataclass(frozen=True)
class Limits:
    """Timeouts of AWS in seconds. Tests shorten them; the defaults are those of AWS.

    Sonic: https://docs.aws.amazon.com/nova/latest/nova2-userguide/using-conversational-speech.html
    Transcribe: https://docs.aws.amazon.com/transcribe/latest/dg/streaming.html (15 s of no audio)
    """

    sonic_connection: float = 480.0
    sonic_idle: float = 55.0
    transcribe_idle: float = 15.0


@dataclass(frozen=True)
class StandinContext:
    """Settings and journal of one run."""

    region: str
    keys: Keys
    script: Script = field(default_factory=Script)
    limits: Limits = field(default_factory=Limits)
    journal: Journal = field(default_factory=Journal)
