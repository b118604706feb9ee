"""Custom: the record of the pipeline that voicecore did not generate."""

from voicecore.catalog.pipelines.record import Pipeline

PIPELINE = Pipeline(
    name="custom",
    title="Your own program",
    summary="an agent that you have; [agent] in voicecore.toml says how to start it",
    needs="what the agent calls",
    python=">=3.10",
    generated=False,
)
