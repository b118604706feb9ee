"""Nova Sonic: the record of the pipeline."""

from voicecore.catalog import regions
from voicecore.catalog.pipelines.record import Pipeline, Service

PIPELINE = Pipeline(
    name="nova-sonic",
    title="Amazon Nova 2 Sonic",
    summary="speech to speech in one model; the fastest and most natural",
    needs="an AWS account",
    # aws_sdk_bedrock_runtime, its bidirectional client, does not install on an older Python.
    python=">=3.12",
    model=Service("nova-2-sonic", "Amazon Nova 2 Sonic", regions.NOVA_SONIC),
)
