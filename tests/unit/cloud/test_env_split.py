import pytest

from tests.unit.cloud.deployments import deployment
from voicecore.cloud.stacks.env_split import BadEnvironment, split_agent_env


def test_all_that_is_not_known_to_be_harmless_is_a_secret() -> None:
    values = {"LOG_LEVEL": "DEBUG", "DEEPGRAM_API_KEY": "dg", "DATABASE_URL": "pg://", "EMPTY": ""}
    environment = split_agent_env(values | {"AWS_REGION": "us-east-1"}, "us-east-1")
    assert environment.plain == {"LOG_LEVEL": "DEBUG"}
    assert environment.secret == {"DEEPGRAM_API_KEY": "dg", "DATABASE_URL": "pg://"}
    assert "dg" not in repr(environment)


def test_a_key_that_a_service_needs_must_be_there() -> None:
    uses = deployment("cascade", services={"stt": "deepgram", "tts": "cartesia"}).uses
    with pytest.raises(BadEnvironment) as raised:
        split_agent_env({"CARTESIA_API_KEY": ""}, "us-east-1", uses)
    assert raised.value.message.splitlines()[1:] == [
        "  DEEPGRAM_API_KEY is missing: Deepgram answers nobody without it",
        "  CARTESIA_API_KEY is missing: Cartesia answers nobody without it",
    ]
    keys = {"DEEPGRAM_API_KEY": "a", "CARTESIA_API_KEY": "b"}
    assert split_agent_env(keys, "us-east-1", uses).secret == keys


def test_what_would_harm_is_refused_all_at_once_and_without_values() -> None:
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
    told = raised.value.message
    assert all(name in told for name in values)
    assert "hidden" not in told
    assert len(told.splitlines()) == 1 + len(values)
