"""The offline pipeline: its record, and what it adds to a project (template/)."""

from voicecore.catalog.pipelines.record import Pipeline

PIPELINE = Pipeline(
    name="offline",
    title="Whisper → rules → Piper, on this machine",
    summary="no account and no network; small models and a rule-based responder",
    needs="nothing",
    python=">=3.11",
)
