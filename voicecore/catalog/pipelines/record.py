"""The record of a pipeline: all that commands know of a way from heard speech to a reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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

    @property
    def template(self) -> Path:
        """Folder of the files that it adds to a project."""
        return Path(__file__).with_name(self.name.replace("-", "_")) / "template"


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
