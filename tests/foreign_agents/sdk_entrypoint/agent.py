from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
def invoke(payload, context):
    return {"said": payload.get("prompt", "nothing"), "session": context.session_id}


if __name__ == "__main__":
    app.run()
