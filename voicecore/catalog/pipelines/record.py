"""Owns the record of a pipeline: everything that commands know about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from voicecore.catalog import regions
from voicecore.catalog.models import Model, text_model


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
    model: Model | None = None
    """Bedrock model that it is."""
    endpoint: str = ""
    """VPC endpoint that leads to it, as in com.amazonaws.REGION.polly; empty if none does."""


@dataclass(frozen=True)
class Pipeline:
    """A way from heard speech to a spoken reply, with what helps to choose it."""

    name: str
    title: str
    summary: str
    needs: str
    python: str
    """Python versions that its packages install on, as a requires-python specifier."""
    stages: dict[str, tuple[Service, ...]] = field(default_factory=dict[str, tuple[Service, ...]])
    """Services for each stage that the user may choose ("stt", "llm", "tts"), default first."""
    by_model: tuple[str, ...] = ()
    """Stages that may also be any text model of Bedrock, called as their default service is."""
    unnamed: dict[str, str] = field(default_factory=dict[str, str])
    """Service of a stage in projects that are older than the choice, and so do not name it."""
    compute: tuple[float, float] = (0.5, 1.0)
    """Usage of the agent during a call: vCPUs on average, and GB at its peak."""
    generated: bool = True
    """False when the agent is a program that the user had, which [agent] describes."""

    def service(self, stage: str, name: str) -> Service | None:
        """Return the service of this name for a stage; None if it can have none such."""
        offered = self.stages.get(stage, ())
        if listed := next((option for option in offered if option.name == name), None):
            return listed
        model = text_model(name) if stage in self.by_model else None
        return model and replace(
            offered[0], name=name, title=name, regions=model.regions, model=model
        )

    @property
    def template(self) -> Path:
        """Folder of the files that it adds to a project."""
        return Path(__file__).with_name(self.name.replace("-", "_")) / "template"


def title_of(pipeline: Pipeline, services: dict[str, str]) -> str:
    """Return the titles of the services chosen for its stages, or the pipeline's own title."""
    titles = (service.title for _, service in _chosen(pipeline, services))
    return " → ".join(titles) or pipeline.title


def services_of(pipeline: Pipeline, chosen: dict[str, str]) -> dict[str, str]:
    """Return the service of every stage: the chosen one or the default."""
    return {
        stage: chosen.get(stage) or options[0].name for stage, options in pipeline.stages.items()
    }


def used_by(pipeline: Pipeline, services: Mapping[str, str]) -> tuple[Service, ...]:
    """Return every service that an agent with this pipeline calls."""
    return tuple(service for _, service in _chosen(pipeline, services))


def model_variables(pipeline: Pipeline, services: Mapping[str, str], region: str) -> dict[str, str]:
    """Return the environment variables that tell an agent in `region` which models to call."""
    return {
        f"{stage.upper()}_MODEL": service.model.name_in(region)
        for stage, service in _chosen(pipeline, services)
        if service.model
    }


def _chosen(pipeline: Pipeline, services: Mapping[str, str]) -> Iterator[tuple[str, Service]]:
    for stage in pipeline.stages:
        if service := pipeline.service(stage, services.get(stage, "")):
            yield stage, service


def regions_of(pipeline: Pipeline, services: Mapping[str, str]) -> tuple[str, ...]:
    """Return the AgentCore regions where every AWS service of this pipeline is offered."""
    used = used_by(pipeline, services)
    return tuple(r for r in regions.AGENTCORE if all(r in service.regions for service in used))
