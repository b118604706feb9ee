"""The registry of pipelines: one record per way that an agent turns speech into speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicecore.catalog import regions


@dataclass(frozen=True)
class Service:
    """A provider of one stage, and the regions it is offered in."""

    name: str
    title: str
    regions: tuple[str, ...] = regions.AGENTCORE
    key: str = ""
    """The environment variable that holds its key; empty for AWS's own, which need none."""
    tcp_ports: tuple[int, ...] = (443,)
    """TCP ports that the agent reaches it by."""


@dataclass(frozen=True)
class Pipeline:
    """A way from heard speech to spoken reply, with what helps to choose it."""

    name: str
    title: str
    summary: str
    needs: str
    python: str
    """The interpreters that its packages install on, as a requires-python specifier."""
    model: Service | None = None
    stages: dict[str, tuple[Service, ...]] = field(default_factory=dict[str, tuple[Service, ...]])
    """For each stage the user may choose ("stt", "llm", "tts"): the services, default first."""


PIPELINES = {
    pipeline.name: pipeline
    for pipeline in (
        Pipeline(
            name="nova-sonic",
            title="Amazon Nova 2 Sonic",
            summary="speech to speech in one model; the fastest and most natural",
            needs="an AWS account",
            # aws_sdk_bedrock_runtime, its bidirectional client, installs on no older Python.
            python=">=3.12",
            model=Service("nova-sonic", "Amazon Nova 2 Sonic", regions.NOVA_SONIC),
        ),
        Pipeline(
            name="cascade",
            title="Transcribe → Nova 2 Lite → Polly",
            summary="speech to text, a language model, text to speech; each stage yours to choose",
            needs="an AWS account",
            python=">=3.11",
            stages={
                "stt": (
                    Service(
                        "transcribe",
                        "Amazon Transcribe",
                        regions.TRANSCRIBE_STREAMING,
                        # Its WebSocket, which Pipecat uses (Transcribe guide, websocket-med).
                        tcp_ports=(443, 8443),
                    ),
                    Service("deepgram", "Deepgram", key="DEEPGRAM_API_KEY"),
                ),
                "llm": (Service("nova-lite", "Amazon Nova 2 Lite"),),
                "tts": (
                    Service("polly", "Amazon Polly", regions.POLLY),
                    Service("cartesia", "Cartesia", key="CARTESIA_API_KEY"),
                ),
            },
        ),
        Pipeline(
            name="offline",
            title="Whisper → rules → Piper, on this machine",
            summary="no account and no network; small models and a rule-based responder",
            needs="nothing",
            python=">=3.11",
        ),
    )
}


def title_of(pipeline: Pipeline, services: dict[str, str]) -> str:
    """The pipeline by the services that were chosen for its stages, or by its own title."""
    chosen = [
        option.title
        for stage, options in pipeline.stages.items()
        for option in options
        if option.name == services.get(stage)
    ]
    return " → ".join(chosen) or pipeline.title


def services_of(pipeline: Pipeline, chosen: dict[str, str]) -> dict[str, str]:
    """The service of every stage: the chosen one, or the first."""
    return {
        stage: chosen.get(stage) or options[0].name for stage, options in pipeline.stages.items()
    }


def used_by(pipeline: Pipeline, services: Mapping[str, str]) -> tuple[Service, ...]:
    """Every service that an agent with this pipeline calls."""
    chosen = [
        option
        for stage, options in pipeline.stages.items()
        for option in options
        if option.name == services.get(stage)
    ]
    return (pipeline.model, *chosen) if pipeline.model else tuple(chosen)


def regions_of(pipeline: Pipeline, services: Mapping[str, str]) -> tuple[str, ...]:
    """The AgentCore regions in which every AWS service of this pipeline is offered."""
    used = used_by(pipeline, services)
    return tuple(r for r in regions.AGENTCORE if all(r in service.regions for service in used))
