"""The split of .env files into plain variables and secrets."""

import pytest

from tests.unit.cloud.deployments import deployment
from voicecore.cloud.stacks.env_split import BadEnvironment, split_agent_env


def test_unknown_variables_are_secret() -> None:
    values = {"LOG_LEVEL": "DEBUG", "DEEPGRAM_API_KEY": "dg", "DATABASE_URL": "pg://", "EMPTY": ""}
    environment = split_agent_env(values | {"AWS_REGION": "us-east-1"}, "us-east-1")
    assert environment.plain == {"LOG_LEVEL": "DEBUG"}
    assert environment.secret == {"DEEPGRAM_API_KEY": "dg", "DATABASE_URL": "pg://"}
    assert "dg" not in repr(environment)


def test_rejects_missing_service_key() -> None:
    uses = deployment("cascade", services={"stt": "deepgram", "tts": "cartesia"}).uses
    with pytest.raises(BadEnvironment) as raised:
        split_agent_env({"CARTESIA_API_KEY": ""}, "us-east-1", uses)
    assert raised.value.message.splitlines()[1:] == [
        "  DEEPGRAM_API_KEY is missing: Deepgram requires it",
        "  CARTESIA_API_KEY is missing: Cartesia requires it",
    ]
    keys = {"DEEPGRAM_API_KEY": "a", "CARTESIA_API_KEY": "b"}
    assert split_agent_env(keys, "us-east-1", uses).secret == keys


def test_rejects_all_harmful_variables_without_showing_values() -> None:
    values = {
        "AWS_ACCESS_KEY_ID": "AKIA-hidden",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_PROFILE": "mine",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1",
        "AWS_REGION": "eu-west-1",
        "PORT": "9000",
        "WHISPER_MODEL": "x" * 3000,
    }
    with pytest.raises(BadEnvironment) as raised:
        split_agent_env(values, "us-east-1")
    message = raised.value.message
    assert all(name in message for name in values)
    assert "hidden" not in message
    assert len(message.splitlines()) == 1 + len(values)
