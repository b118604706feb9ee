"""A turn's time, and where it went."""

from voicecore.talk.transports.rtvi import Latency, Stage
from voicecore.talk.view.latency import Part, Totals, Turn, totals


def stage(key: str, ms: float) -> Stage:
    return Stage(key, key, ms)


def test_the_parts_add_up_to_what_the_client_waited() -> None:
    agent = Latency(
        1,
        900,
        (
            stage("endpointing_wait", 200),
            stage("transcription", 470),
            stage("turn_detection", 90),
            stage("llm_inference", 10),
            stage("llm_tool_call", 15),
            stage("speech_synthesis", 100),
        ),
    )
    parts = Turn(1, 1000, agent).parts
    assert parts == (
        Part("VAD", 200), Part("STT", 470), Part("turn", 90), Part("LLM", 25),
        Part("TTS", 100), Part("agent", 15), Part("transport", 100),
    )  # fmt: skip
    assert sum(part.ms for part in parts) == 1000


def test_a_stage_of_a_later_pipecat_counts_as_the_agents() -> None:
    assert Turn(1, 50, Latency(1, 40, (stage("new", 40),))).parts == (
        Part("agent", 40),
        Part("transport", 10),
    )


def test_without_the_agents_word_there_are_no_parts() -> None:
    assert Turn(1, 50).parts == ()


def test_totals() -> None:
    assert totals([]) == Totals(0, None, None)
    assert totals([Turn(1, 900), Turn(2, 1500), Turn(3, 1000)]) == Totals(3, 1000, 1500)
