"""Nova Sonic: the record of the pipeline."""

from voicecore.catalog import models
from voicecore.catalog.pipelines.record import Pipeline, Service

PIPELINE = Pipeline(
    name="nova-sonic",
    title="Amazon Nova Sonic",
    summary="speech to speech in one model; the fastest and most natural",
    needs="an AWS account, Python 3.12 or newer",
    # aws_sdk_bedrock_runtime, its bidirectional client, does not install on an older Python.
    python=">=3.12",
    stages={
        "speech_to_speech": tuple(
            Service(name, title, model.regions, model=model, endpoint="bedrock-runtime")
            for name, title, model in (
                ("nova-2-5-sonic", "Amazon Nova 2.5 Sonic", models.NOVA_2_5_SONIC),
                ("nova-2-sonic", "Amazon Nova 2 Sonic", models.NOVA_2_SONIC),
            )
        )
    },
    unnamed={"speech_to_speech": "nova-2-sonic"},
)
