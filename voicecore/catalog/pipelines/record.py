"""Owns the record of a pipeline: everything that commands know about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voicecore.catalog import regions


@dataclass(frozen=True)
class Service:
    """A service that performs one stage, and the regions where it is offered."""

    name: str
    title: str
    regions: tuple[str, ...] = regions.AGENTCORE
    key: str = ""
    """Environment variable with its API key; empty for AWS services, which need none."""
    tcp_ports: tuple[int, ...] = (443,)
    """TCP ports by which the agent reaches it."""


@dataclass(frozen=True)
class Pipeline:
    """A way from heard speech to a spoken reply, with what helps to choose it."""

    name: str
    title: str
    summary: str
    needs: str
    python: str
    """Python versions that its packages install on, as a requires-python specifier."""
    model: Service | None = None
    """Speech-to-speech model, if the pipeline is one."""
    stages: dict[str, tuple[Service, ...]] = field(default_factory=dict[str, tuple[Service, ...]])
    """Services for each stage that the user may choose ("stt", "llm", "tts"), default first."""
    compute: tuple[float, float] = (0.5, 1.0)
    """Usage of the agent during a call: vCPUs on average, and GB at its peak."""

    @property
    def template(self) -> Path:
        """Folder of the files that it adds to a project."""
        return Path(__file__).with_name(self.name.replace("-", "_")) / "template"


def title_of(pipeline: Pipeline, services: dict[str, str]) -> str:
    """Return the titles of the services chosen for its stages, or the pipeline's own title."""
    chosen = [
        option.title
        for stage, options in pipeline.stages.items()
        for option in options
        if option.name == services.get(stage)
    ]
    return " → ".join(chosen) or pipeline.title


def services_of(pipeline: Pipeline, chosen: dict[str, str]) -> dict[str, str]:
    """Return the service of every stage: the chosen one or the default."""
    return {
        stage: chosen.get(stage) or options[0].name for stage, options in pipeline.stages.items()
    }


def used_by(pipeline: Pipeline, services: Mapping[str, str]) -> tuple[Service, ...]:
    """Return every service that an agent with this pipeline calls."""
    chosen = [
        option
        for stage, options in pipeline.stages.items()
        for option in options
        if option.name == services.get(stage)
    ]
    return (pipeline.model, *chosen) if pipeline.model else tuple(chosen)


def regions_of(pipeline: Pipeline, services: Mapping[str, str]) -> tuple[str, ...]:
    """Return the AgentCore regions where every AWS service of this pipeline is offered."""
    used = used_by(pipeline, services)
    return tuple(r for r in regions.AGENTCORE if all(r in service.regions for service in used))
