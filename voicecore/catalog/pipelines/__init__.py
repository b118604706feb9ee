"""Owns the registry of pipelines: one folder per way that an agent turns speech into speech.

A folder holds the pipeline's record and the files it adds to a project (`template/`). No command
knows a pipeline by name.
"""

from voicecore.catalog.pipelines.cascade import PIPELINE as CASCADE
from voicecore.catalog.pipelines.nova_sonic import PIPELINE as NOVA_SONIC
from voicecore.catalog.pipelines.offline import PIPELINE as OFFLINE
from voicecore.catalog.pipelines.record import Pipeline

PIPELINES: dict[str, Pipeline] = {
    pipeline.name: pipeline for pipeline in (NOVA_SONIC, CASCADE, OFFLINE)
}
"""Pipelines by name, in the order in which they are offered."""

DEFAULT = OFFLINE.name
"""Pipeline that `init` suggests."""
