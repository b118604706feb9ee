"""Owns the project as voicecore.toml describes it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import model_variables, services_of
from voicecore.catalog.platforms import DEFAULT as DEFAULT_PLATFORM
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.turn_sources import KVS
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.defaults import DEFAULT_STAGE, IDLE_TIMEOUT, MAX_LIFETIME
from voicecore.project.identity import Owner
from voicecore.project.invalid_setting import InvalidSetting, did_you_mean, one_of
from voicecore.project.schema import DRAIN_MINUTES_MAX, LOG_RETENTION_DAYS, invalid_settings
from voicecore.project.settings.account_rules import AccountRules, rules_of
from voicecore.project.settings.network import PUBLIC, network_for
from voicecore.project.settings.observability import OBSERVABILITY, Observability
from voicecore.project.settings.programs import (
    AGENT,
    SERVER,
    SERVER_KEYS,
    AgentSettings,
    Program,
    ServerProgram,
    agent_settings,
    generated_program,
    own_program,
    server_program,
)
from voicecore.project.version import UPGRADE, is_newer

FILE = "voicecore.toml"


@dataclass(frozen=True)
class Vpc:
    """The network of a deployed agent ([vpc]): the user's own, or how voicecore creates one."""

    subnets: tuple[str, ...] = ()
    """IDs of the user's own private subnets; empty if voicecore creates a VPC."""
    security_groups: tuple[str, ...] = ()
    ha: bool = False
    """True for a NAT gateway in each availability zone, so that no zone takes down all calls."""
    endpoints: bool = False
    """True for VPC endpoints in place of NAT gateways: nothing leads to the internet."""

    @property
    def given(self) -> bool:
        """True when the network is the user's."""
        return bool(self.subnets)


@dataclass(frozen=True)
class TurnSettings:
    """The source of TURN credentials, and the peak of concurrent calls ([turn])."""

    source: str = KVS
    peak_calls: int = 10


@dataclass(frozen=True)
class ServerSettings:
    """Address and capacity of a session server ([server])."""

    domain: str = ""
    """Domain name of the server; empty to use a name of CloudFront."""
    certificate: str = ""
    """ARN of the certificate for that name, in the stage's region."""
    peak_calls: int = 50
    drain_minutes: int = DRAIN_MINUTES_MAX
    """Minutes for which an update lets calls finish on the old server."""
    concurrency: int = 50
    """Requests at once that a server on Lambda answers, and that are paid for."""


@dataclass(frozen=True)
class Stage(AccountRules):
    """One deployment of the project, such as `dev` or `prod`. Times are in seconds."""

    name: str
    region: str
    account: str | None = None
    """The only account that it may be deployed to; None for any."""
    idle_timeout: int = IDLE_TIMEOUT
    max_lifetime: int = MAX_LIFETIME
    log_retention_days: int = LOG_RETENTION_DAYS
    server: ServerSettings = ServerSettings()
    platform: str = DEFAULT_PLATFORM
    """Platform of AgentCore that starts its agents (catalog.platforms)."""


TRACING_PACKAGE = "aws-opentelemetry-distro"


@dataclass(frozen=True)
class Project:
    """A project, as its voicecore.toml describes it."""

    root: Path
    name: str
    transports: tuple[str, ...]
    pipeline: str
    region: str
    services: dict[str, str]
    agent_settings: AgentSettings = field(default_factory=AgentSettings)
    server_settings: ServerProgram | None = field(default_factory=ServerProgram)
    """Program of the session server; None if the project has none."""
    network: str = PUBLIC
    vpc: Vpc = Vpc()
    turn: TurnSettings = TurnSettings()
    providers: tuple[str, ...] = ()
    """Phone providers, if the project takes phone calls."""
    observability: Observability = field(default_factory=Observability)
    id: str = ""
    """ID that tags its resources; empty for a project of before IDs."""
    rules: AccountRules = field(default_factory=AccountRules)
    """Rules of the account's administrator for what stages share."""
    stages: dict[str, Stage] = field(default_factory=dict[str, Stage])
    version: str = ""
    """Version of voicecore that generated its files; empty if voicecore.toml does not tell."""

    def stage(self, name: str = DEFAULT_STAGE) -> Stage:
        """Return the stage of that name. Raises BadProject if voicecore.toml has none."""
        stage = self.stages.get(name)
        if stage is None:
            known = tuple(self.stages)
            problems = aws_names.stage_name_problems(name)
            raise BadProject(
                f"{self.root / FILE} has no stage {name!r}"
                f"{did_you_mean(name, known) or one_of(known)}",
                f"A stage cannot be named {name!r}: {problems[0]}."
                if problems
                else f"To add it, append this to {FILE}:  [stages.{name}]",
            )
        return stage

    @property
    def platforms(self) -> frozenset[str]:
        """Platforms of AgentCore that its stages run on."""
        return frozenset(stage.platform for stage in self.stages.values())

    @property
    def model_variables(self) -> dict[str, str]:
        """The environment variables that tell a local agent which models to call."""
        return model_variables(PIPELINES[self.pipeline], self.services, self.region)

    @property
    def has_tracing_package(self) -> bool:
        """True when its agent has AWS's OpenTelemetry package."""
        try:
            text = (self.agent / "pyproject.toml").read_text(encoding="utf-8-sig")
            dependencies = tomllib.loads(text)["project"]["dependencies"]
            return any(each.startswith(TRACING_PACKAGE) for each in dependencies)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return False  # a build reports what is wrong with the file

    @property
    def owner(self) -> Owner:
        """The owner of its resources in AWS, by their tags."""
        return Owner(self.name, self.id)

    @property
    def generated(self) -> bool:
        """True when voicecore generated its agent."""
        return PIPELINES[self.pipeline].generated

    @property
    def agent(self) -> Path:
        """Folder of the agent, which runs in AgentCore's container."""
        return self.root / self.agent_settings.folder

    @property
    def server(self) -> Path:
        """Folder of the session server, which clients connect to."""
        return self.root / (self.server_settings.folder if self.server_settings else SERVER)

    def image_folder(self, part: str) -> Path:
        """Return the build context of a part's image: its folder, or the one with a Dockerfile."""
        folder = self.agent if part == AGENT else self.server
        own = part == AGENT and not self.generated
        return self.root if own and not (folder / "Dockerfile").exists() else folder

    @property
    def agent_program(self) -> Program:
        """The agent's program on this machine."""
        return self._program(self.agent_settings, AGENT)

    @property
    def has_own_server(self) -> bool:
        """True when voicecore wrote its session server, by `init` or by `adopt`."""
        return self.generated or (self.server / "internal" / "lambda_handler.py").is_file()

    @property
    def server_program(self) -> Program | None:
        """The session server's program on this machine; None if there is none."""
        return self._program(self.server_settings, SERVER) if self.server_settings else None

    def _program(self, settings: AgentSettings | ServerProgram, name: str) -> Program:
        if self.generated:
            return generated_program(self.root / name, settings)
        return own_program(self.root, settings, name)

    @property
    def local(self) -> Path:
        """Folder for the state and logs of local runs; never committed."""
        return self.root / ".voicecore"


class BadProject(VoicecoreError):
    """The project cannot be read, or its settings or files are invalid."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


def load_project(root: Path) -> Project:
    """Return the project in `root`.

    Raises BadProject, which lists every invalid setting with its line.
    """
    answers = _valid_answers(root / FILE)
    pipeline = PIPELINES[answers["pipeline"]]
    transports = tuple(answers["transports"])
    vpc: dict[str, Any] = answers.get("vpc", {})
    return Project(
        root=root.absolute(),  # tools that run in a subfolder are given paths of its files
        name=answers["name"],
        transports=transports,
        pipeline=pipeline.name,
        region=answers["region"],
        services=services_of(pipeline, pipeline.unnamed | answers.get("services", {})),
        agent_settings=agent_settings(answers),
        server_settings=server_program(answers),
        network=answers.get("network") or network_for([TRANSPORTS[t] for t in transports], vpc),
        vpc=Vpc(
            subnets=tuple(vpc.get("subnets", ())),
            security_groups=tuple(vpc.get("security_groups", ())),
            ha=vpc.get("ha", False),
            endpoints=vpc.get("endpoints", False),
        ),
        turn=TurnSettings(**answers.get("turn", {})),
        providers=tuple(answers.get(BY_PHONE, {}).get("providers", ())),
        observability=Observability(**answers.get(OBSERVABILITY, {})),
        id=answers.get("id", ""),
        rules=AccountRules(**rules_of(answers)),
        stages=dict(_stages(answers)),
        version=answers.get("voicecore", ""),
    )


def _valid_answers(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise BadProject(
            f"There is no {FILE} in {path.parent}.",
            "Change to a project folder, or create a project:  voicecore init my-agent",
        ) from None
    except UnicodeDecodeError as error:
        raise BadProject(f"{path} is not UTF-8 text: {error}.") from error
    try:
        answers = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadProject(f"{path} is not valid TOML: {error}.") from error
    if invalid := list(invalid_settings(answers)):
        version = answers.get("voicecore", "")
        newer = f"It was generated by voicecore {version}. Upgrade voicecore:  {UPGRADE}"
        raise BadProject(_report(path, text, invalid), newer if is_newer(version) else None)
    return answers


def _stages(answers: dict[str, Any]) -> Iterator[tuple[str, Stage]]:
    server = {key: v for key, v in answers.get("server", {}).items() if key not in SERVER_KEYS}
    listed: dict[str, dict[str, Any]] = {DEFAULT_STAGE: {}, **answers.get("stages", {})}
    for name, own in listed.items():
        lifetime = own.get("max_lifetime", MAX_LIFETIME)
        yield (
            name,
            Stage(
                name,
                region=own.get("region", answers["region"]),
                account=own.get("account", answers.get("account")),
                # As in AWS: a lifetime below the default idle timeout lowers that too.
                idle_timeout=own.get("idle_timeout", min(IDLE_TIMEOUT, lifetime)),
                max_lifetime=lifetime,
                log_retention_days=own.get("log_retention_days", LOG_RETENTION_DAYS),
                server=ServerSettings(**server | own.get("server", {})),
                platform=own.get("platform", answers.get("platform", DEFAULT_PLATFORM)),
                **rules_of(answers, own),
            ),
        )


def _report(path: Path, text: str, invalid: list[InvalidSetting]) -> str:
    count = "1 error" if len(invalid) == 1 else f"{len(invalid)} errors"
    rows = [f"  {_position(text, each.key):<8} {each.key}: {each.message}" for each in invalid]
    return "\n".join([f"{path} has {count}:", *rows])


def _position(text: str, key: str) -> str:
    """Return where in the file a setting is; "end" if it is not there."""
    lines = _line_numbers(text)
    # Of "stages.prod.region", the setting is written, or else the table that lacks it.
    for path in reversed(list(accumulate(key.split("."), "{}.{}".format))):
        if path in lines:
            return f"line {lines[path]}"
    number = lines.get(f"services.{key}")  # a service, which init names without its table
    return f"line {number}" if number else "end"


# tomllib reports no positions, so they are looked up: the header of a table, or a key that is set.
_HEADER = re.compile(r"\s*\[([^\[\]=]+)\]")
_SETTING = re.compile(r"\s*([\w.\"' -]+?)\s*=")


def _line_numbers(text: str) -> dict[str, int]:
    """Return the line on which each table starts and each key is set, by dotted path."""
    table = ""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _dotted_path(header[1])
            found.setdefault(table, number)
        elif setting := _SETTING.match(line):
            found.setdefault(f"{table}.{_dotted_path(setting[1])}".lstrip("."), number)
    return found


def _dotted_path(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
