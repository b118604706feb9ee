import os

import boto3
from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()
TABLE = os.getenv("ORDERS_TABLE", "orders")


@app.entrypoint
async def invoke(payload):
    for word in payload.get("prompt", "").split():
        yield {"word": word}


def order(number):
    table = boto3.resource("dynamodb").Table(TABLE)
    return table.get_item(Key={"number": number})


app.run()
