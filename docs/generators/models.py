"""Generates the list of Bedrock models."""

from __future__ import annotations

from docs.generators.markdown import table
from voicecore.catalog import regions
from voicecore.catalog.pipelines import PIPELINES


def bedrock_models() -> str:
    """Return the Bedrock models that pipelines can use."""
    return table(
        ("service", "Bedrock ID", "regions", "ends", "source"),
        (
            (
                f"`{service.name}`",
                f"`{service.model.id}`" + " (by inference profile)" * service.model.by_profile,
                "all of AgentCore's"
                if service.model.regions == regions.AGENTCORE
                else ", ".join(service.model.regions),
                str(service.model.ends or "not announced"),
                f"{service.model.source}, {service.model.read}",
            )
            for pipeline in PIPELINES.values()
            for options in pipeline.stages.values()
            for service in options
            if service.model
        ),
    )
