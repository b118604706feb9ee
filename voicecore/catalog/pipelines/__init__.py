"""Owns the registry of pipelines: one folder per way that an agent turns speech into speech.

A folder holds the pipeline's record and the files it adds to a project (`template/`). No command
knows a pipeline by name.
"""

from voicecore.catalog.pipelines.cascade import PIPELINE as CASCADE
from voicecore.catalog.pipelines.custom import PIPELINE as CUSTOM_PIPELINE
from voicecore.catalog.pipelines.nova_sonic import PIPELINE as NOVA_SONIC
from voicecore.catalog.pipelines.offline import PIPELINE as OFFLINE
from voicecore.catalog.pipelines.record import Pipeline

PIPELINES: dict[str, Pipeline] = {
    pipeline.name: pipeline for pipeline in (NOVA_SONIC, CASCADE, OFFLINE, CUSTOM_PIPELINE)
}
"""Pipelines by name, in the order in which they are offered."""

GENERATED = {name: pipeline for name, pipeline in PIPELINES.items() if pipeline.generated}
"""Pipelines that `init` offers: it generates their agents."""

CUSTOM = CUSTOM_PIPELINE.name
"""Pipeline of an adopted agent."""

DEFAULT = OFFLINE.name
"""Pipeline that `init` suggests."""
