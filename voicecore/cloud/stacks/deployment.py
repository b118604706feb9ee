"""Owns a stage as it is deployed: every setting that its stacks depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicecore import __version__
from voicecore.catalog.aws_services import SERVICES, AwsService
from voicecore.catalog.endpoints import internet_needs
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.record import Phone
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import Pipeline, Service, model_variables, used_by
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import HEADERS, Transport
from voicecore.catalog.turn_sources import KVS
from voicecore.project import aws_names
from voicecore.project.defaults import DEFAULT_STAGE
from voicecore.project.identity import Owner
from voicecore.project.project import Project, Stage, TurnSettings, Vpc
from voicecore.project.settings.account_rules import AccountRules
from voicecore.project.settings.network import VPC


@dataclass(frozen=True)
class Deployment:
    """One stage of a project, with the catalog entries that its settings name."""

    name: str
    stage: Stage
    transports: tuple[Transport, ...]
    pipeline: Pipeline
    services: Mapping[str, str]
    network: str
    vpc: Vpc
    turn: TurnSettings
    phones: tuple[Phone, ...] = ()
    """The phone providers that the project's session server answers."""
    id: str = ""
    """The project's ID; empty for a project that has none yet."""
    traced: bool = False
    """True when the agent sends traces to CloudWatch."""
    lacks_tracing_package: bool = False
    """True when it is to send traces and does not have AWS's package for it."""
    own_uses: tuple[AwsService, ...] = ()
    """AWS services that [agent] lists besides those of the pipeline."""
    request_headers: tuple[str, ...] = HEADERS
    """Headers of a caller's request that reach the agent."""
    shared: AccountRules = field(default_factory=AccountRules)
    """Rules of the account's administrator for what stages share."""

    @property
    def owner(self) -> Owner:
        """The owner of its resources in AWS, by their tags."""
        return Owner(self.name, self.id)

    @property
    def has_phones(self) -> bool:
        """True when the project's server answers phone calls, deployed or not."""
        return bool(self.phones)

    @property
    def runtime_name(self) -> str:
        """Name of the AgentCore runtime."""
        return aws_names.runtime_name_for(self.name, self.stage.name)

    @property
    def uses(self) -> tuple[Service, ...]:
        """The services that the agent calls."""
        return used_by(self.pipeline, self.services)

    @property
    def internet_needs(self) -> tuple[str, ...]:
        """Everything that the agent reaches only on the internet; empty if endpoints suffice."""
        return tuple(internet_needs(self.uses, self.transports))

    @property
    def model_variables(self) -> dict[str, str]:
        """The agent's environment variables that name its models."""
        return model_variables(self.pipeline, self.services, self.stage.region)

    @property
    def needs_turn(self) -> bool:
        """True when callers and agent need TURN credentials."""
        return any(transport.turn for transport in self.transports)

    @property
    def uses_kvs(self) -> bool:
        """True when Kinesis Video Streams issues the TURN credentials."""
        return self.needs_turn and self.turn.source == KVS

    @property
    def encryption(self) -> dict[str, str]:
        """The property of secrets and log groups that names the key; none for AWS's own key."""
        return {"KmsKeyId": self.stage.kms_key} if self.stage.kms_key else {}

    @property
    def creates_network(self) -> bool:
        """True when voicecore creates the network: neither PUBLIC nor the user's own VPC."""
        return self.network == VPC and not self.vpc.given

    def tags(self, stage: str | None = None) -> dict[str, str]:
        """Return the tags of a stack; `stage` is aws_names.SHARED for stacks that stages share."""
        return {
            **(self.stage.tags if stage is None else self.shared.tags),
            aws_names.TAG_PROJECT: self.name,
            aws_names.TAG_STAGE: stage or self.stage.name,
            aws_names.TAG_VERSION: __version__,
            **({aws_names.TAG_ID: self.id} if self.id else {}),
        }


def deployment_of(project: Project, stage: str = DEFAULT_STAGE) -> Deployment:
    """Return the project's stage of this name. Raises BadProject if it has none."""
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
        id=project.id,
        traced=project.observability.traces,
        lacks_tracing_package=(
            # Another's agent may list its packages elsewhere.
            project.observability.traces and project.generated and not project.has_tracing_package
        ),
        own_uses=tuple(SERVICES[name] for name in project.agent_settings.uses),
        request_headers=(*HEADERS, *project.agent_settings.request_headers),
        shared=project.rules,
    )
