"""Cascade: the record of the pipeline."""

from voicecore.catalog import models, regions
from voicecore.catalog.pipelines.record import Pipeline, Service

PIPELINE = Pipeline(
    name="cascade",
    title="Transcribe → Nova 2 Lite → Polly",
    summary="speech to text, a language model, text to speech; you choose both speech services",
    needs="an AWS account",
    python=">=3.11",
    stages={
        "stt": (
            Service(
                "transcribe",
                "Amazon Transcribe",
                regions.TRANSCRIBE_STREAMING,
                # 8443 is its WebSocket, which Pipecat uses (Transcribe guide, websocket-med).
                tcp_ports=(443, 8443),
                endpoint="transcribestreaming",
            ),
            Service("deepgram", "Deepgram", key="DEEPGRAM_API_KEY"),
        ),
        "llm": (
            Service(
                "nova-lite",
                "Amazon Nova 2 Lite",
                models.NOVA_2_LITE.regions,
                model=models.NOVA_2_LITE,
                endpoint="bedrock-runtime",
            ),
        ),
        "tts": (
            Service("polly", "Amazon Polly", regions.POLLY, endpoint="polly"),
            Service("cartesia", "Cartesia", key="CARTESIA_API_KEY"),
        ),
    },
    by_model=("llm",),
)
