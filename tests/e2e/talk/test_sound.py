"""A spoken call through a sound card: microphone, speaker, echo, and no devices."""

import asyncio
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.standins.soundcard import SoundCard
from tests.standins.talk.session_server import RATE, AgentStandIn, tone
from tests.unit.talk.test_talk import Talk
from voicecore.talk.audio import pcm

SAMPLES = Path(__file__).parents[3] / "voicecore" / "samples"
QUESTION = SAMPLES / "what-time-is-it.wav"


@pytest.fixture
def card(tmp_path: Path) -> Iterator[SoundCard]:
    with SoundCard.plugged_in(tmp_path) as card:
        yield card


def loudness(path: Path, channel: int = 0) -> np.ndarray[Any, Any]:
    """Return the loudness (RMS) of each 10 ms of a recording."""
    with wave.open(str(path)) as file:
        both = pcm.to_array(file.readframes(file.getnframes())).astype(float)
        samples = both[channel :: file.getnchannels()]
        step = file.getframerate() // 100
    frames = samples[: len(samples) // step * step].reshape(-1, step)
    return np.sqrt((frames**2).mean(axis=1))


def runs(loud: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return the positions where it is loud, as runs without a gap."""
    where = np.flatnonzero(loud)
    return np.split(where, np.flatnonzero(np.diff(where) > 1) + 1)


def audible(path: Path) -> np.ndarray[Any, Any]:
    """Return the 10 ms of a recording that are audible."""
    return np.flatnonzero(loudness(path) > 300)


def speech(name: str) -> bytes:
    with wave.open(str(SAMPLES / name)) as file:
        return pcm.Resampler(file.getframerate(), RATE).feed(file.readframes(file.getnframes()))


BEEP_MS, PAUSE_MS, BEEPS = 300, 100, 12


def test_question_at_the_microphone_is_answered_at_the_speaker(
    card: SoundCard, tmp_path: Path
) -> None:
    beeps = (tone(BEEP_MS) + bytes(2 * RATE * PAUSE_MS // 1000)) * BEEPS

    async def test() -> None:
        async with AgentStandIn(voice=beeps) as agent:
            talk = await Talk.start(
                agent, tmp_path, "--json", "--record", "c.wav",
                "--microphone", "virtual-mic", "--speaker", "Virtual-Speaker", env=card.env,
            )  # fmt: skip
            await talk.until("connected")
            with card.listen(tmp_path / "speaker.wav"):
                speaking = card.speak(QUESTION)
                await talk.until("agent_said")
            assert speaking.wait(60) == 0
            talk.process.send_signal(signal.SIGINT)
            assert await talk.end() == 0
            assert agent.stopped == [agent.heard[0].session]

    asyncio.run(test())
    # Nothing was lost, and most beeps have no hole. A loaded machine that stalls the agent or the
    # sound server breaks a few; a mistake of ours would break all.
    for recording, channel in (("c.wav", 1), ("speaker.wav", 0)):
        heard = loudness(tmp_path / recording, channel)
        assert np.count_nonzero(heard > 300) == pytest.approx(BEEPS * BEEP_MS / 10, rel=0.06)
        whole = [beep for beep in runs(heard > 300) if abs(len(beep) - BEEP_MS / 10) <= 2]
        assert BEEPS / 2 < len(whole) <= BEEPS
        level = np.median([heard[beep[5:-5]].mean() for beep in whole])
        assert level == pytest.approx(pcm.rms(tone(1000)), rel=0.05)


def test_user_interrupts_the_agent_at_once(card: SoundCard, tmp_path: Path) -> None:
    async def test() -> None:
        story = speech("rain-in-spain.wav") * 4
        async with AgentStandIn(greeting="A long story.", voice=story, answers=False) as agent:
            talk = await Talk.start(agent, tmp_path, "--json", env=card.env)
            with card.listen(tmp_path / "speaker.wav"):
                await asyncio.to_thread(card.wait_until_loud, tmp_path / "speaker.wav")
                speaking = card.speak(QUESTION)
                await talk.until("user_said")
            assert speaking.wait(60) == 0
            talk.process.send_signal(signal.SIGINT)
            await talk.until("ended")
            assert await talk.end() == 0
            said = [e for e in talk.events if e["event"] == "agent_said"]
            assert [e["interrupted"] for e in said] == [True]

    asyncio.run(test())
    loud = audible(tmp_path / "speaker.wav")
    assert loud[-1] - loud[0] < 500  # of 800: agent and speaker stopped


def echo_level(card: SoundCard, folder: Path, *arguments: str) -> float:
    """Return how loud the agent hears itself in an empty room, in dB: the median of 100 ms parts.

    This room is made of queues between processes: when the machine stalls, its echo changes, and
    the canceller needs a second to find it again.
    """

    async def test() -> bytes:
        story = speech("rain-in-spain.wav") + speech("open-on-sunday.wav")
        async with AgentStandIn(greeting="…", voice=story + story, turns=False) as agent:
            talk = await Talk.start(agent, folder, "--json", *arguments, env=card.env)
            await talk.until("agent_said")
            talk.process.send_signal(signal.SIGINT)
            await talk.until("ended")
            await talk.end()
            return bytes(agent.heard[0].audio)

    heard = asyncio.run(test())
    tenth = 3200
    return float(
        np.median(
            [pcm.decibels(pcm.rms(heard[i : i + tenth])) for i in range(0, len(heard), tenth)]
        )
    )


def test_agent_does_not_hear_itself(card: SoundCard, tmp_path: Path) -> None:
    card.join()
    raw = echo_level(card, tmp_path, "--no-aec")
    cleaned = echo_level(card, tmp_path)
    print(f"echo: {raw:.1f} dB, cancelled: {cleaned:.1f} dB")
    assert raw > -50
    assert raw - cleaned >= 20


def test_lists_devices_and_chooses_them_by_name(card: SoundCard, tmp_path: Path) -> None:
    listed = voicecore(card.env, "--list-devices")
    assert listed.returncode == 0
    assert "Virtual-Microphone" in listed.stdout
    assert "Virtual-Speaker" in listed.stdout
    for flag in ("--microphone", "--speaker"):
        unknown = voicecore(card.env, flag, "gramophone")
        assert unknown.returncode == 2
        assert "is called 'gramophone'" in unknown.stderr
        assert "Virtual-" in unknown.stderr


def test_hints_what_to_do_without_a_sound_card(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    env["PULSE_SERVER"] = f"unix:{tmp_path}/nothing"
    result = voicecore(env)
    assert result.returncode == 4
    assert result.stderr.startswith("✗ This machine has no")
    assert "apt install pulseaudio" in result.stderr
    assert "--text" in result.stderr
    assert "--input" in result.stderr
    assert "ALSA lib" not in result.stderr


def test_reports_a_microphone_that_cannot_be_opened(card: SoundCard) -> None:
    # The device disappears between choosing and opening, as if the system denied it.
    program = (
        "import asyncio, subprocess\n"
        "from voicecore.console.errors import VoicecoreError\n"
        "from voicecore.talk.audio import devices as audio\n"
        "from voicecore.talk.audio.endpoints import SilentSpeaker\n"
        "from voicecore.talk.audio.jitter_buffer import JitterBuffer\n"
        "async def main():\n"
        "    found = audio.list_devices().microphones\n"
        "    device = audio.pick(found, 'Virtual-Microphone', 'microphone')\n"
        "    subprocess.run(['pactl', 'unload-module', 'module-remap-source'], check=True)\n"
        "    try:\n        audio.Microphone(device, SilentSpeaker(JitterBuffer())).open()\n"
        "    except audio.MicrophoneDenied as error:\n"
        "        print(error.message, error.hint)\n"
        "asyncio.run(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], env=card.env, capture_output=True, text=True, timeout=60
    )
    assert "The microphone cannot be opened" in result.stdout, result.stderr
    assert "--text" in result.stdout


def voicecore(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "voicecore", "talk", "--url", "http://127.0.0.1:9", *arguments]
    return subprocess.run(
        argv, env={**env, "SESSION_API_KEY": "x"}, capture_output=True, text=True, timeout=60
    )
