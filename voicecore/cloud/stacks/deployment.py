"""One stage of a project as what it is deployed with: all that decides its stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voicecore import __version__
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.record import Phone
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import Pipeline, Service, used_by
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import Transport
from voicecore.catalog.turn_sources import KVS
from voicecore.project import aws_names
from voicecore.project.defaults import DEFAULT_STAGE
from voicecore.project.project import Project, Stage, TurnSettings, Vpc
from voicecore.project.schema import VPC


@dataclass(frozen=True)
class Deployment:
    """One stage of a project, with the records that its names stand for."""

    name: str
    stage: Stage
    transports: tuple[Transport, ...]
    pipeline: Pipeline
    services: Mapping[str, str]
    network: str
    vpc: Vpc
    turn: TurnSettings
    phones: tuple[Phone, ...] = ()
    """The telephone providers that the project's server answers, whatever else is deployed."""

    @property
    def bridged(self) -> bool:
        """Whether the project's server may carry calls; what is deployed decides if it does."""
        return bool(self.phones)

    @property
    def runtime_name(self) -> str:
        """The AgentCore runtime."""
        return aws_names.runtime_name_for(self.name, self.stage.name)

    @property
    def uses(self) -> tuple[Service, ...]:
        """Every service that the agent calls."""
        return used_by(self.pipeline, self.services)

    @property
    def needs_turn(self) -> bool:
        """Whether TURN credentials must be handed out."""
        return any(transport.turn for transport in self.transports)

    @property
    def asks_kvs(self) -> bool:
        """Whether Kinesis Video Streams hands them out."""
        return self.needs_turn and self.turn.source == KVS

    @property
    def makes_network(self) -> bool:
        """Whether voicecore makes the network: it is neither PUBLIC nor the user's."""
        return self.network == VPC and not self.vpc.given

    def tags(self, stage: str | None = None) -> dict[str, str]:
        """The tags of a stack, and so of all that it makes; `names.SHARED` for shared ones."""
        return {
            aws_names.TAG_PROJECT: self.name,
            aws_names.TAG_STAGE: stage or self.stage.name,
            aws_names.TAG_VERSION: __version__,
        }


def deployment_of(project: Project, stage: str = DEFAULT_STAGE) -> Deployment:
    """The stage of this name. Raises BadProject if the project has none."""
    return Deployment(
        name=project.name,
        stage=project.stage(stage),
        transports=tuple(TRANSPORTS[name] for name in project.transports),
        pipeline=PIPELINES[project.pipeline],
        services=project.services,
        network=project.network,
        vpc=project.vpc,
        turn=project.turn,
        phones=tuple(PHONES[name] for name in project.providers),
    )
