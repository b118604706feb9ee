"""What of an .env, the agent's or the server's, goes to AWS in the open, and what as a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from voicecore.catalog.pipelines.record import Service
from voicecore.catalog.transports.record import Transport
from voicecore.console.errors import ExitCode, VoicecoreError

BYTES_MAX = 4096
"""Of all variables of a runtime together (runtime-troubleshooting)."""

COUNT_MAX = 50
VALUE_MAX = 2048
"""Characters of a value (CloudFormation's schema of AWS::BedrockAgentCore::Runtime)."""

PLAIN = (
    "LOG_LEVEL", "LOG_TRANSCRIPTS", "WHISPER_MODEL", "PIPER_VOICE",
    "TURN_SOURCE", "COTURN_URLS", "ICE_SERVER_URLS", "DAILY_API_URL",
)  # fmt: skip
"""What agents read that is no secret. All else could be one: nobody can tell by the name."""

SECRET_VARIABLE = "AGENT_SECRET_ARN"  # noqa: S105 - the name of a variable
"""How the agent learns of the secret: a JSON object of variables, read when it starts."""

# What would win over the execution role; none of it means anything in the container.
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


SERVER_BYTES_MAX = 4096
"""Of all variables of a Lambda function together (Lambda quotas)."""

SERVER_PLAIN = (
    "ALLOWED_ORIGINS", "LOG_LEVEL", "OIDC_AUDIENCE", "OIDC_DISCOVERY_URL", "REQUESTS_PER_MINUTE",
    "SESSIONS_AT_ONCE", "STARTS_PER_MINUTE", "TURN_SOURCE", "COTURN_URLS", "ICE_SERVER_URLS",
    "DAILY_API_URL", "PHONE_NUMBERS", "PUBLIC_URL", "VONAGE_DIRECT",
)  # fmt: skip
"""What servers read that is no secret."""

_SERVERS_OWN = (
    "AGENT_RUNTIME_ARN", "DRAIN_SECONDS", "HOST", "PORT", "SESSION_API_KEY", "TRUSTED_PROXIES",
)  # fmt: skip
"""What server/.env says of this machine. In AWS the key is one of AWS's making, that nobody sees,
and who calls is said by Lambda or the load balancer."""


class BadEnvironment(VoicecoreError):
    """An .env holds what must not or cannot go to AWS."""

    def __init__(self, mistakes: list[str], file: str = "agent/.env") -> None:
        server = "" if file.startswith("agent") else " --server"
        super().__init__(
            f"{file} cannot go to AWS as it is:\n  " + "\n  ".join(mistakes),
            f"Mend {file} and deploy again:  voicecore deploy{server}",
            ExitCode.BAD_PROJECT,
        )


@dataclass(frozen=True)
class Environment:
    """Variables in AWS."""

    plain: Mapping[str, str] = field(default_factory=dict[str, str])
    """Seen by whoever may look at what runs."""
    secret: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Kept in Secrets Manager; never in a template."""


def environment_of(
    values: Mapping[str, str], region: str, uses: Iterable[Service] = ()
) -> Environment:
    """What of agent/.env a stage in `region` takes along, and how. Empty values are left out.

    `uses` are the services whose keys must be there. Raises BadEnvironment, which names every
    mistake, but no value.
    """
    given = {name: value for name, value in values.items() if value}
    missing = [
        f"{service.key} is missing: {service.title} answers nobody without it"
        for service in uses
        if service.key and service.key not in given
    ]
    if mistakes := [*_mistakes_in(given, region), *missing]:
        raise BadEnvironment(mistakes)
    kept = {name: value for name, value in given.items() if name not in _REGIONS}
    return Environment(
        plain={name: value for name, value in kept.items() if name in PLAIN},
        secret={name: value for name, value in kept.items() if name not in PLAIN},
    )


def server_environment_of(
    values: Mapping[str, str], region: str, transports: Iterable[Transport] = ()
) -> Environment:
    """What of server/.env a server in `region` takes along, and how.

    `transports` are those whose keys must be there. Raises BadEnvironment.
    """
    given = {name: v for name, v in values.items() if v and name not in _SERVERS_OWN}
    missing = [
        f"{transport.key} is missing: {transport.title} lets nobody in without it"
        for transport in transports
        if transport.key and transport.key not in given
    ]
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
                f"{name} would win over the role there, and end with its owner's session; "
                "on this machine, set it in your shell instead"
            )
        elif name.startswith("AWS_ENDPOINT_URL"):
            yield f"{name} leads away from AWS; on this machine, set it in your shell instead"
        elif name in _REGIONS and value != region:
            yield f"{name} is {value}, but this stage is deployed to {region}"
        elif name == "PORT":
            yield "PORT: AgentCore speaks to port 8080 only"
        elif name in PLAIN and len(value) > VALUE_MAX:
            yield f"{name} has {len(value)} characters; AgentCore takes {VALUE_MAX}"


def size_of(variables: Mapping[str, str]) -> int:
    """Bytes that variables take of the runtime's allowance."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
