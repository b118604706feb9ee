"""Makes a rendered server's requests to all services on the internet, and prints their answers."""

import asyncio
import os

from fastapi import FastAPI
from internal import daily, issuer
from internal.aws_service import KEYS, AwsService
from internal.telephony.provider import ApiCall
from internal.telephony.provider_api import ProviderApi
from internal.turn import cloudflare, twilio

CLOUDFLARE = {"CLOUDFLARE_TURN_KEY_ID": "key", "CLOUDFLARE_TURN_API_TOKEN": "token"}
TWILIO = {"TWILIO_ACCOUNT_SID": "sid", "TWILIO_AUTH_TOKEN": "token"}


async def main() -> None:
    os.environ.update(dict.fromkeys((*KEYS, "DAILY_API_KEY"), "key"))
    api = ProviderApi({})
    async with api.open(FastAPI()):
        print(await api.request(ApiCall("GET", "https://api.telnyx.com/v2/calls")))
    print(await daily.daily("GET", "/rooms"))
    print(await cloudflare.SOURCE.servers(CLOUDFLARE))
    print(await twilio.SOURCE.servers(TWILIO))
    print(await asyncio.to_thread(issuer.fetch, "https://users.example/keys"))
    print(AwsService("dynamodb", "us-east-1", 5, 1).call("DynamoDB_20120810.GetItem", "1.0", {}))


asyncio.run(main())
