"""Owns echo cancellation: removes the agent's voice from the microphone with WebRTC's AEC3."""

from __future__ import annotations

from typing import Any

from voicecore.talk.audio import pcm
from voicecore.talk.audio.echo_path import EchoPath
from voicecore.talk.optional_deps import load

_STEP = pcm.SPEECH_RATE // 100
_FAR_STEP = pcm.VOICE_RATE // 100
_MAX_BACKLOG = 10 * _FAR_STEP
"""A device that was suspended delivers its backlog at once; of such a burst only the last 100 ms
can still be in the air."""
_KEPT_STEPS = 2
"""Devices deliver in bursts, but AEC3 accepts only 32 ms of far audio ahead of the near before it
starts to search for the echo again. So up to 20 ms wait; the way through the air and two device
buffers takes longer than that, so they are never late."""


class EchoCanceller:
    """Mono audio in steps of 10 ms, at SPEECH_RATE near and at VOICE_RATE far.

    Uses livekit's rtc.AudioProcessingModule. Chosen over aec-audio-processing, the same WebRTC
    code, because that has wheels for Windows on x86-64 only and builds WebRTC from source
    elsewhere; livekit has wheels for Linux, macOS and Windows on both processors (30 MB), and
    measured the same (59 against 58 dB of synthetic echo, 1 % of a core). Noise suppression stays
    off: speech recognizers are trained on noise and get worse without it.

    `rtc` replaces that module.
    """

    def __init__(self, rtc: Any = None) -> None:
        self._rtc = rtc or load("livekit.rtc")
        self._apm = self._rtc.AudioProcessingModule(echo_cancellation=True, high_pass_filter=True)
        self._far = bytearray()
        self._path = EchoPath()

    def clean(self, played: bytes, near: bytes, delay_ms: int) -> bytes:
        """Return `near` without the echo of `played`; both are the same BLOCK_MS.

        delay_ms: about how long audio takes from being played, through speaker, room and
        microphone, to `near`. AEC3 finds the rest itself.
        """
        self._far += played
        del self._far[: max(0, len(self._far) - 2 * _MAX_BACKLOG)]
        cleaned = bytearray()
        steps = len(near) // (2 * _STEP)
        while len(self._far) >= 2 * _FAR_STEP * (1 if steps > 0 else _KEPT_STEPS + 1):
            steps -= 1
            far = self._frame(self._far[: 2 * _FAR_STEP], pcm.VOICE_RATE)
            self._apm.process_reverse_stream(far)
            del self._far[: 2 * _FAR_STEP]
        for start in range(0, len(near), 2 * _STEP):
            step = self._frame(near[start : start + 2 * _STEP], pcm.SPEECH_RATE)
            self._apm.set_stream_delay_ms(delay_ms)
            self._apm.process_stream(step)
            cleaned += bytes(step.data.cast("B"))
        # AEC3 keeps learning in any case: the user may take off the headset.
        return bytes(cleaned) if self._path.exists(played, near) else near

    def _frame(self, audio: bytes | bytearray, rate: int) -> Any:
        return self._rtc.AudioFrame(bytearray(audio), rate, 1, len(audio) // 2)
