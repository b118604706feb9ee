"""Owns the outcome of each stretch of sound: heard, or why not.

`SpeechDetector` divides the caller's audio into stretches. `Hearing` decides the outcome of each by
the transcripts that follow, and `HearingObserver` reports it as the event `sound`: to the log, and
to the client as an RTVI server message. Its `message` says in one line what to do.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed

from . import logs
from .sound_input import AudioDroppedFrame

# Speech is as loud as this at its loudest; quieter is another room, or a telephone's hiss.
THRESHOLD_DB = -45.0
# "Go." has 0.25 s that the model is sure of; with Pipecat's 0.2 s half of such words are missed.
START_SECONDS = 0.15
WINDOW_SECONDS = 0.032  # that the model judges at a time
# Windows within which the loudest counts: a word begins and ends more quietly.
RECENT = 10
# Voice for less than this is a click, a breath, or an error of the model.
VOICE_SECONDS = 0.09
PAUSE_SECONDS = 0.5  # that ends a stretch
LONGEST_SECONDS = 10.0  # after which a sound that goes on is reported
# For a transcript, after the turn has ended: a model that hears by itself reports it late.
TRANSCRIPT_SECONDS = 3.0


class Outcome(StrEnum):
    """Outcome of a stretch."""

    HEARD = "heard"
    TOO_QUIET = "too_quiet"
    TOO_SHORT = "too_short"
    NOT_SPEECH = "not_speech"
    NOT_RECOGNIZED = "not_recognized"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Stretch:
    """Sound between two pauses. Speech is NOT_RECOGNIZED until there is a transcript."""

    outcome: Outcome
    seconds: float
    """Duration; of speech, of its voice."""
    level_db: float | None = None
    """Its loudest 32 ms, in dB below full scale (RMS)."""
    reason: str = ""
    """Reason why it was dropped."""

    @property
    def message(self) -> str:
        """Return the outcome and what to do, in one line."""
        sound = f"{self.seconds:.1f} s of speech"
        match self.outcome:
            case Outcome.HEARD:
                return f"heard {sound}"
            case Outcome.TOO_QUIET:
                level = f"{self.level_db:.0f} dBFS, and {THRESHOLD_DB:.0f} are needed"
                return f"{sound} were too quiet: {level}. Speak louder, or raise the input level."
            case Outcome.TOO_SHORT:
                short = f"{self.seconds:.2f} s of speech were too short"
                return f"{short}: {START_SECONDS} s are needed. Say it again, or say more."
            case Outcome.NOT_SPEECH:
                sound = f"{self.seconds:.1f} s of sound at {self.level_db:.0f} dBFS were not speech"
                return f"{sound}. If someone spoke, check the microphone and the sample rate."
            case Outcome.NOT_RECOGNIZED:
                return f"{sound} were heard, but no words in them. Say it again, more clearly."
            case Outcome.DROPPED:
                return f"Audio was dropped: {self.reason}"


@dataclass
class _Sound:
    """A stretch that has not ended; lengths are in windows."""

    windows: int = 0
    quiet: int = 0
    """Silent windows at its end."""
    voiced: int = 0
    run: int = 0
    """Voiced windows in a row, so far and at most."""
    longest_run: int = 0
    peak_db: float = -120.0
    told: bool = False

    def add(self, voiced: bool, level_db: float, sounds: bool) -> None:
        self.windows += 1
        self.quiet = 0 if sounds else self.quiet + 1
        self.voiced += voiced
        self.run = self.run + 1 if voiced else 0
        self.longest_run = max(self.longest_run, self.run)
        self.peak_db = max(self.peak_db, level_db)

    def stretch(self, speech: bool) -> Stretch | None:
        """Return what this was; None for less than a sound."""
        voice = self.longest_run * WINDOW_SECONDS
        sounded = (self.windows - self.quiet) * WINDOW_SECONDS
        if speech:
            return Stretch(Outcome.NOT_RECOGNIZED, self.voiced * WINDOW_SECONDS, self.peak_db)
        if voice >= VOICE_SECONDS and self.peak_db < THRESHOLD_DB:
            return Stretch(Outcome.TOO_QUIET, self.voiced * WINDOW_SECONDS, self.peak_db)
        if voice >= VOICE_SECONDS and sounded < 1:
            return Stretch(Outcome.TOO_SHORT, voice, self.peak_db)
        if self.peak_db >= THRESHOLD_DB:
            return Stretch(Outcome.NOT_SPEECH, sounded, self.peak_db)
        return None


class Stretches:
    """Divides what a detector judges, window by window, into stretches."""

    def __init__(self) -> None:
        self._sound: _Sound | None = None
        self._speech = False

    def feed(self, voiced: bool, level_db: float, speaking: bool) -> Stretch | None:
        """Add a window; return the stretch that has ended with it. `speaking`: speech is on."""
        sounds = voiced or level_db >= THRESHOLD_DB
        if self._speech and not speaking:
            return self._end()
        self._speech = speaking
        if self._sound is None and not (sounds or speaking):
            return None
        sound = self._sound = self._sound or _Sound()
        sound.add(voiced, level_db, sounds)
        if speaking:
            return None
        if sound.quiet * WINDOW_SECONDS >= PAUSE_SECONDS:
            return self._end()
        if not sound.told and sound.windows * WINDOW_SECONDS >= LONGEST_SECONDS:
            sound.told = True
            return sound.stretch(speech=False)
        return None

    def _end(self) -> Stretch | None:
        sound, speech = self._sound, self._speech
        self._sound, self._speech = None, False
        return sound.stretch(speech) if sound and not (sound.told and not speech) else None


class SpeechDetector(SileroVADAnalyzer):
    """Silero's model, which hears short answers too, and keeps what it did not take for speech.

    Pipecat requires a loudness that it averages over more than 0.4 s: "Eight." never reaches it.
    Here the loudest of the last windows counts.
    """

    def __init__(self, params: VADParams | None = None) -> None:
        super().__init__(params=params or VADParams(start_secs=START_SECONDS, min_volume=0.0))
        self._stretches = Stretches()
        self._ended: deque[Stretch] = deque(maxlen=100)
        self._levels = deque([-120.0], maxlen=RECENT)
        self._speaking = False

    def voice_confidence(self, buffer: bytes) -> float:
        """Return how likely the window is speech: 0 for what is too quiet to begin with."""
        confidence = float(np.ravel(super().voice_confidence(buffer))[0])
        level = level_db(buffer)
        self._levels.append(level)
        voiced = confidence >= self.params.confidence
        if stretch := self._stretches.feed(voiced, level, self._speaking):
            self._ended.append(stretch)
        return confidence if self._speaking or max(self._levels) >= THRESHOLD_DB else 0.0

    def _get_smoothed_volume(self, audio: bytes) -> float:
        """Measure Pipecat's loudness, which takes longer than the model, only if it is required."""
        return super()._get_smoothed_volume(audio) if self.params.min_volume else 1.0

    async def analyze_audio(self, buffer: bytes) -> VADState:
        """Judge the next audio; return whether the caller is speaking.

        Pipecat does this in another thread. To wake that costs more than the model's 0.2 ms.
        """
        state = self._run_analyzer(buffer)
        self._speaking = state in (VADState.SPEAKING, VADState.STOPPING)
        return state

    def take(self) -> list[Stretch]:
        """Return the stretches that have ended since the last call."""
        return [self._ended.popleft() for _ in range(len(self._ended))]


def level_db(audio: bytes) -> float:
    """Return the level of 16-bit mono audio (RMS), in dB below full scale."""
    samples = np.frombuffer(audio, "<i2").astype(np.float32) / 32768
    return float(20 * np.log10(max(1e-6, np.sqrt(np.mean(samples**2)))))


class Hearing:
    """Decides what became of each stretch, by the transcripts. Times are in seconds."""

    def __init__(self) -> None:
        self._pending: list[tuple[Stretch, float]] = []
        """Stretches that may still get a transcript, and when they no longer may."""
        self._words_at = -math.inf
        self._in_turn = False
        self._agent_speaks = False
        self._agent_until = -math.inf

    def agent_speaks(self, speaks: bool, now: float) -> None:
        """The agent begins or ends to speak."""
        self._agent_speaks, self._agent_until = speaks, now

    def turn(self, begins: bool, now: float) -> None:
        """The caller's turn begins or ends."""
        self._in_turn = begins
        if not begins:
            due = now + TRANSCRIPT_SECONDS
            self._pending = [(sound, min(end, due)) for sound, end in self._pending]

    def words(self, now: float) -> list[Stretch]:
        """Take note of a transcript; return what it made heard."""
        self._words_at = now
        heard = [sound for sound, _ in self._pending if sound.outcome is not Outcome.NOT_SPEECH]
        self._pending = [entry for entry in self._pending if entry[0] not in heard]
        return [replace(sound, outcome=Outcome.HEARD) for sound in heard]

    def ended(self, sound: Stretch, now: float) -> list[Stretch]:
        """Take a stretch that has ended; return it if its outcome is known."""
        began = now - sound.seconds - PAUSE_SECONDS
        speech = sound.outcome is Outcome.NOT_RECOGNIZED
        if not speech and (self._agent_speaks or self._agent_until > began):
            return []  # most likely the agent's own voice, from a loudspeaker
        if sound.outcome is not Outcome.NOT_SPEECH and self._words_at >= began:
            return [replace(sound, outcome=Outcome.HEARD)]
        waits = speech and self._in_turn
        self._pending.append((sound, math.inf if waits else now + TRANSCRIPT_SECONDS))
        return []

    def due(self, now: float) -> list[Stretch]:
        """Return the stretches that no transcript can be expected for any more."""
        over = [sound for sound, end in self._pending if end <= now]
        self._pending = [entry for entry in self._pending if entry[1] > now]
        return over


class HearingObserver(BaseObserver):
    """Reports what became of each stretch to the log and through `send`."""

    def __init__(
        self,
        detector: VADAnalyzer | None,
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        super().__init__(observe_every_push=False)
        self._detector, self._send = detector, send
        self._hearing = Hearing()

    async def on_push_frame(self, data: FramePushed) -> None:
        """Follow the call by everything but audio."""
        for sound in self._follow(data.frame, time.monotonic()):
            await self._report(sound)

    async def on_heard(self, _: object, frame: Frame) -> None:
        """After audio, report what the detector has heard; it is also a tick of the clock."""
        if not isinstance(frame, InputAudioRawFrame):
            return
        now = time.monotonic()
        known: list[Stretch] = []
        if isinstance(self._detector, SpeechDetector):
            for sound in self._detector.take():
                known += self._hearing.ended(sound, now)
        for sound in [*known, *self._hearing.due(now)]:
            await self._report(sound)

    def _follow(self, frame: Frame, now: float) -> list[Stretch]:
        match frame:
            case TranscriptionFrame() if frame.text.strip():
                return self._hearing.words(now)
            case AudioDroppedFrame():
                return [Stretch(Outcome.DROPPED, 0, reason=frame.reason)]
            case UserStartedSpeakingFrame() | UserStoppedSpeakingFrame():
                self._hearing.turn(isinstance(frame, UserStartedSpeakingFrame), now)
            case BotStartedSpeakingFrame() | BotStoppedSpeakingFrame():
                self._hearing.agent_speaks(isinstance(frame, BotStartedSpeakingFrame), now)
            case _:
                pass
        return []

    async def _report(self, sound: Stretch) -> None:
        level = None if sound.level_db is None else round(sound.level_db, 1)
        report = {
            "outcome": sound.outcome.value,
            "seconds": round(sound.seconds, 2),
            "level_db": level,
            "threshold_db": THRESHOLD_DB,
            "message": sound.message,
        }
        logs.write("sound", **report)
        await self._send({"type": "sound", **report})
