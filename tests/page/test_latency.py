"""The latency of an answer on the page, from the events of a call; Node.js runs its rules."""

from __future__ import annotations

import json
import subprocess

from tests.page.test_bundle import CLIENT

# Node.js strips the types itself, so this needs no package of the page.
PLAY = """
const { Conversation } = await import(process.argv[1]);
const latencies = JSON.parse(process.argv[2]).map((events) => {
  const conversation = new Conversation();
  conversation.ready();
  for (const [event, ...values] of events) conversation[event](...values);
  return conversation.turns.map(({ ms }) => Math.round(ms));
});
console.log(JSON.stringify(latencies));
"""

SPOKEN = [["userStarted", 1.0], ["voiceEnded", 1.5], ["voiceEnded", 1.6], ["userStopped", 1.8]]
TYPED = [["userTyped", "hello", 2.0]]
BEEP = ["voiceEnded", 2.31]
CALLS = {
    "spoken": ([*SPOKEN, ["agentBlock", 2.0, 2.01]], [400]),
    "typed": ([*TYPED, ["agentBlock", 2.3, 2.31]], [300]),
    "microphone beeps as the agent begins": ([*TYPED, BEEP, ["agentBlock", 2.3, 2.31]], [300]),
    "microphone beeps before the agent begins": (
        [*SPOKEN, ["llmStarted", 1.9], ["voiceEnded", 2.2], ["agentBlock", 2.4, 2.41]],
        [800],
    ),
    "beep is answered, too": (
        [*TYPED, BEEP, ["agentBlock", 2.3, 2.31], ["userStarted", 2.4], ["userStopped", 2.5],
         ["agentBlock", 3.0, 3.01]],
        [300, 690],
    ),
    "noise does not end": (
        [["userStarted", 1.0], ["voiceEnded", 2.0], ["userStopped", 2.0],
         ["agentBlock", 1.99, 2.01]],
        [],
    ),
    "agent noticed nothing": ([["voiceEnded", 1.6], ["agentBlock", 2.0, 2.01]], []),
}  # fmt: skip


def test_latency_is_from_the_end_of_what_is_answered() -> None:
    calls = json.dumps([events for events, _ in CALLS.values()])
    rules = (CLIENT / "src/conversation.ts").as_uri()
    argv = ["node", "--input-type=module", "--eval", PLAY, rules, calls]
    played = subprocess.run(argv, capture_output=True, text=True, check=True)
    latencies = dict(zip(CALLS, json.loads(played.stdout), strict=True))
    assert latencies == {name: expected for name, (_, expected) in CALLS.items()}
