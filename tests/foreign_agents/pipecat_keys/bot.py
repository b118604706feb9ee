import os

from dotenv import load_dotenv
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.services.aws.llm import AWSBedrockLLMService
from pipecat.services.aws.tts import AWSPollyTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.transports.base_transport import TransportParams

load_dotenv(override=True)


async def run_bot(transport, handle_sigint):
    stt = DeepgramSTTService(api_key=os.environ["DEEPGRAM_API_KEY"])
    llm = AWSBedrockLLMService(model="us.amazon.nova-2-lite-v1:0")
    tts = AWSPollyTTSService(voice_id=os.getenv("VOICE", "Joanna"))
    weather = os.getenv("WEATHER_API_KEY")
    print(stt, llm, tts, weather)


async def bot(runner_args: RunnerArguments):
    params = {"webrtc": lambda: TransportParams(audio_in_enabled=True, audio_out_enabled=True)}
    await run_bot(await create_transport(runner_args, params), runner_args.handle_sigint)


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()
