"""Offline: the record of the pipeline."""

from voicecore.catalog.pipelines.record import Pipeline

PIPELINE = Pipeline(
    name="offline",
    title="Whisper → rules → Piper, on this machine",
    summary="no account and no network; small models and a rule-based responder",
    needs="nothing",
    python=">=3.11",
    # The models run inside the agent.
    compute=(1.0, 1.5),
)
