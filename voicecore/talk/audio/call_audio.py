"""Owns the audio of one call: its two endpoints, and the files it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voicecore.talk.audio import devices
from voicecore.talk.audio.echo_canceller import EchoCanceller
from voicecore.talk.audio.endpoints import AudioSink, AudioSource, SilentSpeaker
from voicecore.talk.audio.jitter_buffer import JitterBuffer
from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
from voicecore.talk.audio.sound_files import Recorder, WavWriter


@dataclass(frozen=True)
class CallAudio:
    """The audio of one call: its endpoints and files."""

    source: AudioSource
    sink: AudioSink
    jitter_buffer: JitterBuffer
    """The agent's voice on its way to `sink`."""
    echo: EchoCanceller | None = None
    output: WavWriter | None = None
    """File with the agent's voice."""
    recorder: Recorder | None = None

    def open(self) -> None:
        """Open the endpoints. Raises NoAudioDevice or MicrophoneDenied."""
        self.source.open()
        self.sink.open()

    def close(self) -> None:
        """Close the endpoints and complete the files."""
        self.source.close()
        self.sink.close()
        if self.output:
            self.output.close()
        if self.recorder:
            self.recorder.close()

    def incomplete(self) -> list[WavWriter]:
        """Return the files that lack a part of the call."""
        files = (self.output, self.recorder and self.recorder.wav)
        return [file for file in files if file and file.failure]


def prepare_audio(
    *,
    scripted: bool,
    microphone: str | None,
    speaker: str | None,
    cancel_echo: bool,
    output: Path | None,
    recording: Path | None,
) -> CallAudio:
    """Choose the endpoints by name, and create the files.

    A scripted call needs no microphone, and a speaker only if one is named. Raises NoAudioDevice,
    UnknownDevice, or OSError if a file cannot be written.
    """
    jitter_buffer = JitterBuffer()
    sink: AudioSink = SilentSpeaker(jitter_buffer)
    if not scripted or speaker:
        found = devices.list_devices().speakers
        sink = devices.Speaker(jitter_buffer, devices.pick(found, speaker, "speaker"))
    source: AudioSource = ScriptedMicrophone(sink)
    if not scripted:
        found = devices.list_devices().microphones
        source = devices.Microphone(devices.pick(found, microphone, "microphone"), sink)
    return CallAudio(
        source,
        sink,
        jitter_buffer,
        echo=EchoCanceller() if cancel_echo and not scripted else None,
        output=WavWriter(output, channels=1) if output else None,
        recorder=Recorder(recording) if recording else None,
    )
