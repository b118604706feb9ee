"""Agents whose model takes no time: the generated one, and others like Pipecat's examples."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.agent_starts import Agent, example, generated
from benchmarks.example_agents import EXAMPLE_AGENT, EXAMPLE_SONIC

Agents = dict[tuple[str, str], Agent]
"""By name and transport; the first of each transport is what the others are compared with."""

HERE = Path(__file__).parent
MODEL = HERE / "instant_model.py"
EXAMPLE = EXAMPLE_AGENT.format(
    imports="from instant_model import InstantModel", services="[InstantModel()]"
)


def instant_agents(folder: Path, commit: str = "") -> Agents:
    """Return the agents by name and transport, first an example of each transport.

    With a commit, also the agent that voicecore generated then.
    """
    agents: Agents = {
        ("Pipecat's example", "websocket"): with_model(
            example(folder / "example", EXAMPLE, EXAMPLE_SONIC)
        ),
        ("Pipecat's example", "webrtc"): webrtc_example(folder / "example-webrtc"),
    }
    voices = {"voicecore": HERE.parent}
    if commit:
        voices[f"voicecore at {commit[:8]}"] = checked_out(folder / "before", commit)
    for name, source in voices.items():
        for transport, options in (("websocket", ()), ("webrtc", ("--transport", "webrtc"))):
            place = folder / f"{name} {transport}"
            place.mkdir()
            agents[name, transport] = with_model(generated(place, *options, source=source))
    return agents


def checked_out(folder: Path, commit: str) -> Path:
    """Return the sources of a commit."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", commit, "voicecore", "templates"],
        cwd=HERE.parent, check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def webrtc_example(folder: Path) -> Agent:
    """Return an agent like Pipecat's example for WebRTC (webrtc_peer.py)."""
    packages = [each.replace("[", "[webrtc,") if "pipecat" in each else each
                for each in EXAMPLE_SONIC]  # fmt: skip
    agent = example(folder, (HERE / "webrtc_peer.py").read_text(), packages)
    shutil.copy(MODEL, folder / "bot.py")
    # It always asks a server for its address; nothing listens here.
    ice = {"ICE_SERVER_URLS": "stun:127.0.0.1:9", "ICE_SERVER_USERNAME": "",
           "ICE_SERVER_CREDENTIAL": ""}  # fmt: skip
    return Agent(agent.argv, folder, ice)


def with_model(agent: Agent) -> Agent:
    """Give an agent the model that takes no time; the generated one does not greet."""
    shutil.copy(MODEL, agent.folder)
    bot = agent.folder / "bot.py"
    if bot.exists():
        text = bot.read_text("utf-8")
        text = text.replace("from internal.nova_sonic import NovaSonic",
                            "from instant_model import InstantModel")  # fmt: skip
        text = text.replace("NovaSonic(PROMPT, VOICE)", "InstantModel()")
        text = re.sub(r"(?s)    request = f'Greet.*?run_llm=True\)\]", "    return []", text)
        assert "NovaSonic" not in text and "run_llm" not in text
        bot.write_text(text, "utf-8")
        shutil.rmtree(agent.folder / "__pycache__")  # an image does not check its bytecode
    return agent
