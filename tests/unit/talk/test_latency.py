"""The latency of a turn and its parts."""

from voicecore.talk.transports.rtvi import AgentLatency, AgentStage
from voicecore.talk.view.latency import LatencyPart, MeasuredTurn, TurnTotals, totals_of


def stage(key: str, ms: float) -> AgentStage:
    return AgentStage(key, key, ms)


def test_parts_add_up_to_what_the_client_waited() -> None:
    agent = AgentLatency(
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
    parts = MeasuredTurn(1, 1000, agent).parts
    assert parts == (
        LatencyPart("VAD", 200),
        LatencyPart("STT", 470),
        LatencyPart("turn", 90),
        LatencyPart("LLM", 25),
        LatencyPart("TTS", 100),
        LatencyPart("agent", 15),
        LatencyPart("transport", 100),
    )
    assert sum(part.ms for part in parts) == 1000


def test_unknown_stage_counts_as_the_agents() -> None:
    assert MeasuredTurn(1, 50, AgentLatency(1, 40, (stage("new", 40),))).parts == (
        LatencyPart("agent", 40),
        LatencyPart("transport", 10),
    )


def test_turn_has_no_parts_without_the_agents_latency() -> None:
    assert MeasuredTurn(1, 50).parts == ()


def test_totals_are_number_median_and_worst() -> None:
    assert totals_of([]) == TurnTotals(0, None, None)
    turns = [MeasuredTurn(1, 900), MeasuredTurn(2, 1500), MeasuredTurn(3, 1000)]
    assert totals_of(turns) == TurnTotals(3, 1000, 1500)
