"""Owns the split of an .env file: which variables go to AWS in plain text, which as secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from voicecore.catalog.pipelines.record import Service
from voicecore.catalog.transports.record import Transport
from voicecore.console.errors import ExitCode, VoicecoreError

COUNT_MAX = 50
"""Variables of a runtime (CloudFormation's schema of AWS::BedrockAgentCore::Runtime)."""
VALUE_MAX = 2048
"""Characters of a value (the same schema)."""

PLAIN = (
    "LOG_LEVEL", "LOG_TRANSCRIPTS", "WHISPER_MODEL", "PIPER_VOICE",
    "TURN_SOURCE", "COTURN_URLS", "ICE_SERVER_URLS", "DAILY_API_URL",
)  # fmt: skip
"""Variables of agents that are not secret. Any other may be one: its name does not tell."""

SECRET_VARIABLE = "AGENT_SECRET_ARN"  # noqa: S105 - the name of a variable
"""Variable with the ARN of the agent's secret: a JSON object of variables, read at start."""

# They would override the execution role, and mean nothing in the container.
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


SERVER_BYTES_MAX = 4096
"""Bytes of all variables of a Lambda function (Lambda quotas)."""

SERVER_PLAIN = (
    "ALLOWED_ORIGINS", "LOG_LEVEL", "OIDC_AUDIENCE", "OIDC_DISCOVERY_URL", "REQUESTS_PER_MINUTE",
    "SESSIONS_AT_ONCE", "STARTS_PER_MINUTE", "STARTS_PER_MINUTE_IN_TOTAL", "TURN_SOURCE",
    "COTURN_URLS", "ICE_SERVER_URLS", "DAILY_API_URL", "PHONE_NUMBERS", "PUBLIC_URL",
    "VONAGE_DIRECT",
)  # fmt: skip
"""Variables of session servers that are not secret."""

_LOCAL_ONLY = (
    "AGENT_ENDPOINT", "AGENT_RUNTIME_ARN", "DRAIN_SECONDS", "HOST", "PORT", "SESSION_API_KEY",
    "TRUSTED_PROXIES",
)  # fmt: skip
"""Variables in server/.env about this machine. In AWS, Secrets Manager generates the key, and
the caller's address comes from Lambda or the load balancer."""


class BadEnvironment(VoicecoreError):
    """An .env file has variables that cannot be deployed."""

    def __init__(self, mistakes: list[str], file: str = "agent/.env") -> None:
        server = " --server" if file.startswith("server") else ""
        super().__init__(
            f"{file} cannot be deployed:\n  " + "\n  ".join(mistakes),
            f"Fix {file} and deploy again:  voicecore deploy{server}",
            ExitCode.BAD_PROJECT,
        )


@dataclass(frozen=True)
class Environment:
    """The variables of an agent or a session server in AWS."""

    plain: Mapping[str, str] = field(default_factory=dict[str, str])
    """Plain variables, visible to everyone who may describe the runtime or server."""
    secret: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Variables kept in Secrets Manager; they are never in a template."""


def split_agent_env(
    values: Mapping[str, str],
    region: str,
    uses: Iterable[Service] = (),
    file: str = "agent/.env",
) -> Environment:
    """Return the variables of `file` for a stage in `region`, without empty ones.

    `uses` are the services whose keys are required. Raises BadEnvironment, which names every
    mistake but shows no value.
    """
    given = {name: value for name, value in values.items() if value}
    missing = [
        f"{service.key} is missing: {service.title} requires it"
        for service in uses
        if service.key and service.key not in given
    ]
    if mistakes := [*_mistakes_in(given, region), *missing]:
        raise BadEnvironment(mistakes, file)
    kept = {name: value for name, value in given.items() if name not in _REGIONS}
    return Environment(
        plain={name: value for name, value in kept.items() if name in PLAIN},
        secret={name: value for name, value in kept.items() if name not in PLAIN},
    )


def split_server_env(
    values: Mapping[str, str], region: str, transports: Iterable[Transport] = ()
) -> Environment:
    """Return the variables of server/.env for a server in `region`, without empty ones.

    `transports` are those whose keys are required. Raises BadEnvironment.
    """
    given = {name: v for name, v in values.items() if v and name not in _LOCAL_ONLY}
    if given.get("SESSION_STORE") == "memory":
        del given["SESSION_STORE"]  # of one server; in AWS several may run
    missing = [
        f"{transport.key} is missing: callers cannot join through {transport.title} without it"
        for transport in transports
        if transport.key and transport.key not in given
    ]
    if given.get("SESSION_STORE", "").startswith("dynamodb:"):
        missing.append(
            "SESSION_STORE names a DynamoDB table; leave it out: the server's stack has its own"
        )
    if mistakes := [*_mistakes_in(given, region), *missing]:
        raise BadEnvironment(mistakes, "server/.env")
    kept = {name: value for name, value in given.items() if name not in _REGIONS}
    return Environment(
        plain={name: value for name, value in kept.items() if name in SERVER_PLAIN},
        secret={name: value for name, value in kept.items() if name not in SERVER_PLAIN},
    )


def _mistakes_in(values: Mapping[str, str], region: str) -> Iterator[str]:
    for name, value in values.items():
        if name in _CREDENTIALS:
            yield (
                f"{name} would override the execution role, and stop working when your login "
                "ends; for use on this machine, set it in your shell"
            )
        elif name.startswith("AWS_ENDPOINT_URL"):
            yield f"{name} redirects calls to AWS; for use on this machine, set it in your shell"
        elif name in _REGIONS and value != region:
            yield f"{name} is {value}, but this stage is deployed to {region}"
        elif name == "PORT":
            yield "PORT is set, but AgentCore calls port 8080 only"
        elif name in PLAIN and len(value) > VALUE_MAX:
            yield f"{name} has {len(value)} characters; AgentCore allows {VALUE_MAX}"


def bytes_of(variables: Mapping[str, str]) -> int:
    """Return the bytes that variables take of the limit."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
