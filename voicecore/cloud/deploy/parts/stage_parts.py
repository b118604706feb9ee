"""Owns the list of parts: what deploy applies in order, and destroy deletes in reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicecore.cloud.deploy.parts.agent import AgentPart
from voicecore.cloud.deploy.parts.part import Part, PartContext
from voicecore.cloud.deploy.parts.server import ServerPart
from voicecore.cloud.deploy.parts.shared_stacks import SharedStacks

PARTS: tuple[type[Part], ...] = (AgentPart, ServerPart)
"""In the order of deployment: a part needs the parts before it."""


@dataclass(frozen=True)
class StageParts:
    """The parts of one stage during a deploy."""

    shared: SharedStacks
    agent: AgentPart
    server: ServerPart

    @property
    def parts(self) -> Sequence[Part]:
        """All parts, in the order of deployment."""
        return (self.agent, self.server)


def parts_for(context: PartContext) -> StageParts:
    """Return the parts for one deploy, before their current state is read."""
    shared = SharedStacks(context)
    agent = AgentPart(context, shared)
    return StageParts(shared, agent, ServerPart(context, shared, agent))
