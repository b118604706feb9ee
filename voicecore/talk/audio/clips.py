"""Owns the clips of a scripted caller: sound files, decoded while they are spoken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.audio import pcm, vad
from voicecore.talk.optional_deps import load

# No playlists, which make FFmpeg open other files and URLs, and nothing that it would only guess.
_FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,ogg,mov,matroska,aac,amr,asf,wv,voc,iff,nistsphere,sox,ircam,avr"
)
_PIECE = 2 * pcm.SPEECH_RATE
"""Samples decoded at once: 2 s, which take 1 ms."""
_CANCELLED = 0.1
"""Share of the loudest channel below which a mix has cancelled it out."""


class NotAudio(VoicecoreError):
    """A file that should be spoken holds no readable audio."""

    def __init__(self, path: Path, reason: str, hint: str = "") -> None:
        hint = hint or "Use WAV, MP3, FLAC, Ogg or M4A, at any sample rate, mono or stereo."
        super().__init__(f"{path} cannot be spoken: {reason}.", hint, ExitCode.USAGE)


@dataclass(frozen=True)
class ClipBlock:
    """BLOCK_MS of a clip, PCM at SPEECH_RATE."""

    audio: bytes
    voiced: int
    """Number of samples until the voice in the block ends; 0 if it has none."""


class Clip:
    """A file to speak, once; pieces of mono samples at SPEECH_RATE."""

    def __init__(self, name: str, pieces: Iterable[pcm.Samples]) -> None:
        self.name = name
        self._pieces = pieces

    def blocks(self) -> Iterator[ClipBlock]:
        """Yield the clip block by block; decodes two seconds at a time."""
        threshold = 0.0
        for piece in self._pieces:
            levels = vad.levels(piece, pcm.SPEECH_RATE)
            threshold = max(threshold, vad.voice_threshold(levels))
            voiced = (levels > threshold).reshape(-1, pcm.BLOCK_MS // vad.LEVEL_MS)
            for block, parts in zip(piece.reshape(-1, pcm.SPEECH_BLOCK), voiced, strict=True):
                last = np.flatnonzero(parts)
                end = int(last[-1] + 1) * (pcm.SPEECH_BLOCK // len(parts)) if len(last) else 0
                yield ClipBlock(block.tobytes(), end)


def open_clip(path: Path) -> Clip:
    """Open a file as speech, and decode it up to its first sound. Raises NotAudio."""
    pieces = _pieces(_decoded(path))
    silent, loudest = list[pcm.Samples](), 0.0
    for piece in pieces:
        levels = vad.levels(piece, pcm.SPEECH_RATE)
        loudest = max(loudest, float(levels.max()))
        if loudest > vad.voice_threshold(levels):
            return Clip(path.name, chain(silent, [piece], pieces))
        silent.append(piece)
    if not silent:
        raise NotAudio(path, "it holds no sound")
    level = f"its loudest 10 ms have {pcm.decibels(loudest):.0f} dBFS, and speech is above -50"
    raise NotAudio(
        path, f"it holds only silence: {level}", "Record it again, closer to the microphone."
    )


def _pieces(decoded: Iterable[pcm.Samples]) -> Iterator[pcm.Samples]:
    """Yield the samples in pieces of _PIECE; the last one is filled up to a whole block."""
    waiting, size = list[pcm.Samples](), 0
    for samples in decoded:
        waiting.append(samples)
        size += len(samples)
        if size >= _PIECE:
            joined = np.concatenate(waiting)
            whole = size - size % _PIECE
            yield from joined[:whole].reshape(-1, _PIECE)
            waiting, size = [joined[whole:]], size - whole
    if size:
        filling = np.zeros(-size % pcm.SPEECH_BLOCK, np.int16)
        yield np.concatenate([*waiting, filling])


def _decoded(path: Path) -> Iterator[pcm.Samples]:
    """Yield the mono samples of a file at SPEECH_RATE. Raises NotAudio."""
    av = load("av")
    try:
        # FFmpeg's readers know every common container; miniaudio takes an .au for a damaged MP3.
        with path.open("rb") as file:
            if not file.peek(1):
                raise NotAudio(path, "it is empty")
            with av.open(file, options={"format_whitelist": _FORMATS}) as sound:
                if not sound.streams.audio:
                    raise NotAudio(path, "it holds no sound")
                yield from _speech(av, sound)
    except FileNotFoundError:
        raise NotAudio(path, "the file does not exist", _name_near(path)) from None
    except av.FFmpegError:
        raise NotAudio(
            path,
            "it is not a sound file that can be read",
            "Use WAV, MP3, FLAC, Ogg or M4A. Most others are converted by:\n"
            f"ffmpeg -i {path.name} spoken.wav",
        ) from None
    except OSError as error:
        raise NotAudio(
            path, error.strerror or str(error), "Name a file that you can read."
        ) from error


def _name_near(path: Path) -> str:
    """Return a hint with the file that has the most similar name, if any is similar."""
    names = [each.name for each in path.parent.glob("*")]
    near = get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.parent / near[0]}?" if near else "Name a file that exists."


def _speech(av: Any, sound: Any) -> Iterator[pcm.Samples]:
    resampler = av.AudioResampler(format="s16", rate=pcm.SPEECH_RATE)
    for frame in chain(_frames(av, sound), [None]):
        for part in resampler.resample(frame):
            yield mono(part.to_ndarray().reshape(-1, part.layout.nb_channels))


def _frames(av: Any, sound: Any) -> Iterator[Any]:
    """Yield what can be decoded; a damaged packet is left out, as players do."""
    try:
        for packet in sound.demux(audio=0):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                continue
    except av.FFmpegError:  # the file ends within a packet
        return


def mono(frames: pcm.Samples) -> pcm.Samples:
    """Return one channel: the mix, or the loudest if the channels cancel each other out."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    mixed = frames.mean(axis=1)
    levels = np.sqrt(np.square(frames, dtype=np.float64).mean(axis=0))
    if np.sqrt(np.square(mixed).mean()) < _CANCELLED * levels.max():
        return frames[:, int(levels.argmax())]
    return mixed.astype(np.int16)
