"""The bot: what it says, what it can do, and how speech becomes an answer. This file is yours.

One model, Amazon Nova 2.5 Sonic, listens, thinks and speaks.
"""

from __future__ import annotations

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import Frame, LLMMessagesAppendFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.llm_service import FunctionCallParams
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from internal.nova_sonic import NovaSonic

PROMPT = """\
You are the voice of mine. You are on the phone: answer in one or two short sentences,
without lists or symbols that cannot be spoken. Use your tools rather than guess.
"""

GREETING = "Hello! How can I help?"

# Others: tiffany, amy, olivia, kiara, arjun, ambre, florian, beatrice, lorenzo, tina, lennart,
# lupe, carlos. https://docs.aws.amazon.com/nova/latest/nova2-userguide/sonic-language-support.html
VOICE = "matthew"

HOURS = {
    "Saturday": "10 AM to 4 PM",
    "Sunday": "noon to 4 PM",
}


async def opening_hours(params: FunctionCallParams, day: str) -> None:
    """Look up when we are open.

    Args:
        day: The day of the week, such as "Monday".
    """
    day = day.strip().title()
    await params.result_callback({"day": day, "hours": HOURS.get(day, "9 AM to 6 PM")})


# Tools that the bot may call. Add your own: an async function whose docstring says what it does.
TOOLS = [opening_hours]


def greeting() -> list[Frame]:
    """Return what the bot does when a caller connects for the first time."""
    request = f'Greet me with exactly these words: "{GREETING}"'
    return [LLMMessagesAppendFrame([{"role": "user", "content": request}], run_llm=True)]


def listening() -> LLMUserAggregatorParams:
    """Return how the bot detects that the caller starts and stops speaking."""
    # The model itself decides when to answer and when to stop for the caller. This only reports
    # turns to the log and the client. (The image lacks Pipecat's smart-turn model: see
    # internal/prune.py.)
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(),
        user_turn_strategies=UserTurnStrategies(
            start=[VADUserTurnStartStrategy(enable_interruptions=False)],
            stop=[SpeechTimeoutUserTurnStopStrategy(wait_for_transcript=False)],
        ),
    )


def pipeline(transport: BaseTransport, context: LLMContextAggregatorPair) -> Pipeline:
    """Return the steps from the caller's speech to the bot's reply."""
    return Pipeline(
        [
            transport.input(),  # the caller's audio
            context.user(),  # adds the caller's words to the conversation
            NovaSonic(PROMPT, VOICE),  # answers, in speech
            transport.output(),  # audio to the caller
            context.assistant(),  # adds the bot's words to the conversation
        ]
    )
