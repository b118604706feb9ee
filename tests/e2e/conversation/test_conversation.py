"""The whole path with real speech, through the commands init, dev and talk."""

import asyncio
import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from yarl import URL

from tests.e2e.conversation.conftest import Event, Talk, dev, speak, talk
from tests.files import complete_lines
from tests.processes import processes_in
from tests.standins.inspecting_proxy import inspecting_proxy
from voicecore.console.errors import ExitCode
from voicecore.project.dotenv import dotenv_of

EIGHT = Path(__file__).parents[2] / "fixtures/eight.wav"


def sides_of(recording: Path) -> tuple[np.ndarray, np.ndarray, int]:
    with wave.open(str(recording)) as file:
        assert file.getnchannels() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
        return samples[:, 0], samples[:, 1], file.getframerate()


def speech_seconds(side: np.ndarray, rate: int) -> float:
    """Return how long a side speaks: its 20 ms blocks that are not quiet."""
    step = rate // 50
    blocks = side[: len(side) // step * step].reshape(-1, step).astype(float)
    return float((np.abs(blocks).max(axis=1) > 500).sum()) * 0.02


def parts_of(latency: Event) -> dict[str, float]:
    """Return milliseconds by stage; fail unless they add up to the turn."""
    parts = {stage["key"]: stage["ms"] for stage in latency["stages"]}
    assert abs(sum(parts.values()) - latency["total_ms"]) < 5
    return parts


def test_answers_and_records_questions_and_a_short_answer(project: Path, tmp_path: Path) -> None:
    recording = tmp_path / "conversation.wav"
    questions = speak("what-time-is-it", "twelve-times-seven")
    call = talk(project, *questions, "--input", str(EIGHT), "--record", str(recording))
    assert call.code == ExitCode.OK, call.stderr
    asked = [text.lower() for text in call.said("user_said")]
    assert asked[:2] == ["what time is it?", "what is 12 times 7?"]
    assert asked[2].strip(".!") in ("8", "eight")
    greeting, time, product, _ = call.said("agent_said")
    assert "rule-based" in greeting
    assert re.fullmatch(r"It is \d?\d:\d\d [AP]M\.", time)
    assert product == "That is 84."

    latencies = [event for event in call.events if event["event"] == "latency"]
    assert [event["turn"] for event in latencies] == [1, 2, 3]
    check_trace(project, call, latencies)
    for event in latencies:
        parts = parts_of(event)
        assert parts["STT"] > 0 and parts["TTS"] > 0

    you, agent, rate = sides_of(recording)
    assert 1 < speech_seconds(you, rate) < 6
    assert 3 < speech_seconds(agent, rate) < 16
    assert processes_in(project) == []


def check_trace(project: Path, call: Talk, latencies: list[Event]) -> None:
    """Compare what `voicecore traces` tells with what was said, and with the measured latency."""

    def traces(*arguments: str) -> Event:
        argv = [sys.executable, "-m", "voicecore", "traces", "--local", "--json", *arguments]
        return json.loads(subprocess.run(argv, cwd=project, capture_output=True, check=True).stdout)

    greeting, *turns = traces(traces()["calls"][-1]["session"])["turns"]
    assert [turn["user"] for turn in turns] == call.said("user_said")
    assert [turn["agent"] for turn in (greeting, *turns)] == call.said("agent_said")
    for turn, latency in zip(turns, latencies, strict=True):
        # The log's clock is read behind the pipeline: later, on a machine that has much to do.
        assert abs(turn["latency_seconds"] - latency["total_ms"] / 1000) < 0.5
        parts = {part["name"]: part["wait_seconds"] for part in turn["parts"]}
        heard = {"speech", "endpointing", "stt", "turn_detection"}
        assert set(parts) == heard | {"llm", "tts", "playback"}
        # They follow each other, so they are all of the time that the user waits.
        assert abs(sum(parts.values()) - turn["latency_seconds"]) < 0.5


def test_answers_typed_lines_in_speech(project: Path, tmp_path: Path) -> None:
    spoken = tmp_path / "agent.wav"
    done = subprocess.run(
        [sys.executable, "-m", "voicecore", "talk", "--text", "--json", "--output", str(spoken)],
        cwd=project, input="what is 6 times 7\n", capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == ExitCode.OK, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert "That is 42." in [event.get("text") for event in said]
    with wave.open(str(spoken)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        # The answer alone takes 0.9 s; the greeting may have been interrupted before it began.
        assert speech_seconds(samples, file.getframerate()) > 0.6


def test_survives_the_60_minute_limit_of_a_stream(project: Path) -> None:
    # 60 minutes pass in 15 s, so that the conversation crosses the limit several times.
    with dev(project, "--time-scale", "240", "--idle-timeout", "28800"):
        call = talk(
            project,
            *speak("my-name-is-ada", "open-on-sunday", "rain-in-spain", "twelve-times-seven"),
            *speak("what-is-my-name"),
        )
        assert call.code == ExitCode.OK, call.stderr
    assert len(call.said("user_said")) == 5
    assert call.said("agent_said")[-1] == "Your name is Ada."
    greetings = [text for text in call.said("agent_said") if text.startswith("Hello")]
    assert len(greetings) == 1
    assert [e for e in call.events if e["event"] == "reconnected"]
    streams = session_events(project, "session_started")
    assert len(streams) > 1
    assert [event["resumed"] for event in streams] == [False] + [True] * (len(streams) - 1)
    assert len({event["session_id"] for event in streams}) == 1


def test_unexpected_end_of_a_stream_loses_nothing(project: Path) -> None:
    # Given only a URL, talk assumes 60 minutes, and the stream ends in the middle of speech.
    with dev(project, "--time-scale", "180", "--idle-timeout", "28800"):
        state = json.loads((project / ".voicecore/dev.json").read_text())
        call = talk(
            project, "--url", state["server"], *speak("my-name-is-ada", "rain-in-spain"),
            *speak("twelve-times-seven", "what-is-my-name"),
        )  # fmt: skip
        assert call.code == ExitCode.OK, call.stderr
    assert len(call.said("user_said")) == 4
    assert "That is 84." in call.said("agent_said")
    assert call.said("agent_said")[-1] == "Your name is Ada."
    assert len(session_events(project, "session_started")) > 1


def test_url_of_an_ended_session_reaches_no_agent(project: Path) -> None:
    async def replay() -> int | None:
        state = json.loads((project / ".voicecore/dev.json").read_text())
        key = {"Authorization": f"Bearer {dotenv_of(project / 'server')['SESSION_API_KEY']}"}
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{state['server']}/start", headers=key) as answer:
                mine = await answer.json()
            token = {"X-Session-Token": mine["token"]}
            path = f"{state['server']}/sessions/{mine['sessionId']}"
            async with http.delete(path, headers=token) as answer:
                assert answer.status == 204
            url = URL(mine["wsUrl"], encoded=True)
            # An unsigned header does not change what the agent takes the caller for.
            telephone = {"X-Amzn-Bedrock-AgentCore-Runtime-Custom-Transport": "telephony"}
            for headers in ({}, telephone):
                async with asyncio.timeout(60):
                    socket = await connect(http, url, headers)
                    async for message in socket:
                        raise AssertionError(f"the agent answers: {message.type}")
                    assert socket.close_code == 4404
            return socket.close_code

    async def connect(
        http: aiohttp.ClientSession, url: URL, headers: dict[str, str]
    ) -> aiohttp.ClientWebSocketResponse:
        while True:
            try:
                return await http.ws_connect(url, headers=headers)
            except aiohttp.WSServerHandshakeError as error:
                if error.status != 409:  # the old process of the session is still ending
                    raise
                await asyncio.sleep(0.1)

    with dev(project):
        assert asyncio.run(replay()) == 4404


def test_remote_reaches_aws_through_a_proxy_that_inspects_tls(
    project: Path, tmp_path: Path
) -> None:
    # The local runtime replaces AWS: talk gets only its ARN and keys, as a developer's environment
    # has those of AWS, and reaches it under AWS's name.
    with dev(project):
        state = json.loads((project / ".voicecore/dev.json").read_text())
        (project / ".voicecore/dev.json").unlink()  # talk must not find a running `dev`
        keys = {
            "AWS_ACCESS_KEY_ID": state["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": state["secret_access_key"],
        }
        host = f"bedrock-agentcore.{state['arn'].split(':')[3]}.amazonaws.com"
        with inspecting_proxy(tmp_path, {host: state["runtime"]}) as proxy:
            aws = {**keys, **proxy.environment("AWS_CA_BUNDLE")}
            to = ["--remote", "--arn", state["arn"]]
            call = talk(project, *to, *speak("twelve-times-seven"), **aws)
            assert call.code == ExitCode.OK, call.stderr
            assert call.said("agent_said")[-1] == "That is 84."
            assert set(proxy.hosts) == {host}

            aws["AWS_SECRET_ACCESS_KEY"] = "wrong"
            refused = talk(project, *to, *speak("what-time-is-it"), **aws)
        assert refused.code == ExitCode.AWS_REFUSED
        assert "AccessDenied" in refused.events[-1]["error"]["message"]


def test_boto3_example_of_the_docs_works(project: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "local.md").read_text()
    example = page[page.index("eval ") :].split("```")[0]
    program = example.replace("voicecore dev", f"{sys.executable} -m voicecore dev")
    program = program.replace("python -c", f"{sys.executable} -c")
    with dev(project):
        done = subprocess.run(
            ["bash", "-ec", program], cwd=project, capture_output=True, text=True, check=True
        )
    assert done.stdout == """b'{"status": "ok", "transports": ["websocket"]}'\n"""


FAILS_FOR_CALLERS = """\
    if type(transport).__name__ != "NoCaller":  # the transport that warms up the agent
        raise RuntimeError("boom")
    return Pipeline("""


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        # One fails when bot.py is imported, the other when a caller's pipeline is built.
        (("internal.hearing", "internal.gold"), "ModuleNotFoundError: No module named"),
        (("    return Pipeline(", FAILS_FOR_CALLERS), "1011: the agent ended the connection"),
    ],
)
def test_reports_a_mistake_in_bot_py_and_its_log(
    project: Path, mistake: tuple[str, str], message: str
) -> None:
    bot = project / "agent" / "bot.py"
    good = bot.read_text()
    bot.write_text(good.replace(*mistake))
    try:
        call = talk(project, *speak("what-time-is-it"))
    finally:
        bot.write_text(good)
    assert call.code == ExitCode.FAILED
    error = call.events[-1]["error"]
    assert message in error["message"]
    assert Path(error["hint"].removeprefix("Log: ")).exists()


def session_events(project: Path, kind: str) -> list[dict[str, object]]:
    """Return the events of one kind in the log of the newest session."""
    logs = [p for p in (project / ".voicecore/logs").rglob("*") if "runtime-logs-" in p.name]
    newest = max(logs, key=lambda path: path.stat().st_mtime)
    lines = [json.loads(line) for line in complete_lines(newest) if line[:1] == "{"]
    return [line for line in lines if line["event"] == kind]
