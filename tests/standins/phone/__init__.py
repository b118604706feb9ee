"""Stand-ins of the phone providers: their REST APIs, webhooks and media sockets.

    async with Provider("twilio") as provider:
        ... start a server with provider.variables in its environment ...
        answer = await provider.ring(server_url)                # its webhook, signed
        async with provider.dial(answer) as handset:            # the media socket in the answer
            await handset.say(clip)                             # PCM at 16 kHz, in real time
            await handset.hears(1.0)                            # a second of the agent's voice
            await handset.hang_up()

Proof and Mistake name what a provider, or an impostor, may do wrong.
"""

from tests.standins.phone.accounts import NUMBER, account
from tests.standins.phone.handset import Handset, Mistake
from tests.standins.phone.provider import Answer, Call, Proof, Provider

__all__ = ["NUMBER", "Answer", "Call", "Handset", "Mistake", "Proof", "Provider", "account"]
