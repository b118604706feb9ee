"""The split of .env files into plain variables and secrets."""

from collections.abc import Callable

import pytest

from tests.unit.cloud.deployments import deployment
from voicecore.catalog.transports import TRANSPORTS
from voicecore.cloud.stacks.env_split import (
    BadEnvironment,
    Environment,
    bytes_of,
    split_agent_env,
    split_server_env,
)

AGENT_PLAIN = [
    "LOG_LEVEL",
    "LOG_TRANSCRIPTS",
    "WHISPER_MODEL",
    "PIPER_VOICE",
    "TURN_SOURCE",
    "COTURN_URLS",
    "ICE_SERVER_URLS",
    "DAILY_API_URL",
]
SERVER_PLAIN = [
    "ALLOWED_ORIGINS",
    "LOG_LEVEL",
    "OIDC_AUDIENCE",
    "OIDC_DISCOVERY_URL",
    "REQUESTS_PER_MINUTE",
    "SESSIONS_AT_ONCE",
    "STARTS_PER_MINUTE",
    "STARTS_PER_MINUTE_IN_TOTAL",
    "TURN_SOURCE",
    "COTURN_URLS",
    "ICE_SERVER_URLS",
    "DAILY_API_URL",
    "PHONE_NUMBERS",
    "PUBLIC_URL",
    "VONAGE_DIRECT",
]
OF_THIS_MACHINE = [
    "AGENT_ENDPOINT",
    "AGENT_RUNTIME_ARN",
    "DRAIN_SECONDS",
    "HOST",
    "PORT",
    "SESSION_API_KEY",
    "TRUSTED_PROXIES",
]
CREDENTIALS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"]
REGION = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}


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


@pytest.mark.parametrize(
    ("split", "plain"), [(split_agent_env, AGENT_PLAIN), (split_server_env, SERVER_PLAIN)]
)
def test_only_known_settings_are_plain(split: Callable[..., Environment], plain: list[str]) -> None:
    given = dict.fromkeys([*plain, "ANY_OTHER"], "x")
    environment = split(given | REGION, "us-east-1")
    assert environment.plain == dict.fromkeys(plain, "x")
    assert environment.secret == {"ANY_OTHER": "x"}


def test_settings_of_this_machine_do_not_reach_the_server_in_aws() -> None:
    given = dict.fromkeys(OF_THIS_MACHINE, "x") | {"SESSION_STORE": "memory", "EMPTY": ""}
    environment = split_server_env(given, "us-east-1")
    assert (environment.plain, environment.secret) == ({}, {})
    store = {"SESSION_STORE": "redis://store"}
    assert split_server_env(store, "us-east-1").secret == store


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_are_rejected_everywhere(name: str) -> None:
    for split, file in ((split_agent_env, "agent/.env"), (split_server_env, "server/.env")):
        with pytest.raises(BadEnvironment, match="would override the execution role") as raised:
            split({name: "x"}, "us-east-1")
        assert raised.value.message.startswith(file)
        server = " --server" if file.startswith("server") else ""
        assert (raised.value.hint or "").endswith(f"voicecore deploy{server}")


@pytest.mark.parametrize("name", REGION)
def test_another_region_is_rejected(name: str) -> None:
    with pytest.raises(BadEnvironment, match=f"{name} is eu-west-1"):
        split_server_env({name: "eu-west-1"}, "us-east-1")


def test_rejects_missing_transport_key_and_a_table_of_dynamodb() -> None:
    values = {"SESSION_STORE": "dynamodb://mine"}
    with pytest.raises(BadEnvironment) as raised:
        split_server_env(values, "us-east-1", [TRANSPORTS["daily"]])
    missing, table = raised.value.message.splitlines()[1:]
    assert missing.strip().startswith("DAILY_API_KEY is missing")
    assert "the server's stack has its own" in table
    key = {"DAILY_API_KEY": "x"}
    assert split_server_env(key, "us-east-1", [TRANSPORTS["daily"]]).secret == key


def test_value_may_have_2048_characters() -> None:
    longest = {"WHISPER_MODEL": "x" * 2048}
    assert split_agent_env(longest, "us-east-1").plain == longest
    with pytest.raises(BadEnvironment, match="2049 characters"):
        split_agent_env({"WHISPER_MODEL": "x" * 2049}, "us-east-1")


def test_bytes_are_those_of_names_and_values() -> None:
    assert bytes_of({"A": "ü", "BC": ""}) == 5
