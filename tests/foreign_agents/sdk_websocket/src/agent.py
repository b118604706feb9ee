from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.websocket
async def talk(websocket, context):
    await websocket.accept()
    async for message in websocket.iter_json():
        await websocket.send_json({"heard": message, "session": context.session_id})


if __name__ == "__main__":
    app.run(log_level="info")
