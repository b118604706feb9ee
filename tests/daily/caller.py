"""A caller in a room of Daily's: says a WAV file of 16 kHz once the agent has greeted, and listens.

Prints a JSON line for each message of the agent's, and at last what was heard of its voice. Runs in
the environment of a generated agent, which has Daily's library:
python caller.py ROOM_URL TOKEN QUESTION
"""

import array
import json
import queue
import sys
import threading
import time
import wave
from collections.abc import Callable
from typing import Any

from daily import CallClient, CustomAudioSource, CustomAudioTrack, Daily, EventHandler

RATE = 16_000
PATIENCE = 60


class Ears(EventHandler):
    """Keeps the agent's RTVI messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_app_message(self, message: Any, sender: str) -> None:
        self.messages.put(message)

    def until(self, kind: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while (message := self.messages.get(timeout=deadline - time.monotonic()))["type"] != kind:
            print(json.dumps(message), flush=True)


def done(act: Callable[..., None]) -> Any:
    """What `act` is called back with; fails when that is an error."""
    results: queue.Queue[tuple[Any, ...]] = queue.Queue()
    act(lambda *result: results.put(result))
    *result, error = results.get(timeout=PATIENCE)
    assert not error, error
    return result


def main(url: str, token: str, question: str) -> None:
    Daily.init()
    speaker = Daily.create_speaker_device("ear", sample_rate=RATE, channels=1)
    Daily.select_speaker_device("ear")
    source = CustomAudioSource(RATE, 1)
    track = {"customTrack": {"id": CustomAudioTrack(source).id}}
    inputs = {"camera": False, "microphone": {"isEnabled": True, "settings": track}}
    ears = Ears()
    client = CallClient(event_handler=ears)
    done(lambda back: client.join(url, token, client_settings={"inputs": inputs}, completion=back))
    loudest = 0

    def listen() -> None:
        nonlocal loudest
        while True:
            heard = array.array("h", speaker.read_frames(RATE // 50))
            loudest = max(loudest, max(map(abs, heard), default=0))

    threading.Thread(target=listen, daemon=True).start()
    ears.until("bot-stopped-speaking")
    with wave.open(question) as file:
        source.write_frames(file.readframes(file.getnframes()))
    ears.until("bot-stopped-speaking")
    print(json.dumps({"type": "heard", "data": loudest}))
    done(lambda back: client.leave(completion=back))
    client.release()


main(*sys.argv[1:])
