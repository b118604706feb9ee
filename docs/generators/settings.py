"""Generates the reference of voicecore.toml."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args, get_type_hints

from docs.generators.markdown import listed, same, table
from docs.generators.projects import names_of, options
from voicecore.catalog.aws_services import SERVICES
from voicecore.catalog.pipelines import CUSTOM
from voicecore.project.project import Project
from voicecore.project.settings.programs import SERVER_KEYS


def settings() -> str:
    """Return the keys of every table of voicecore.toml."""
    parts: list[str] = []
    for name, meanings in _SETTINGS.items():
        defaults = _defaults().get(name)
        if defaults is not None:
            known = {*defaults, *(SERVER_KEYS if name == "server" else ())}
            same(f"keys of [{name}] in voicecore.toml", known, set(meanings))
        rows = (
            (f"`{key}`", default or _shown((defaults or {}).get(key)), meaning)
            for key, (default, meaning) in meanings.items()
        )
        parts.append(f"## [{name}]" if name else "## Top level")
        parts.append(table(("key", "default", "meaning"), rows))
    return "\n\n".join(parts)


def _defaults() -> dict[str, dict[str, object]]:
    """Return key and default of the tables that Project holds as values."""
    types = get_type_hints(Project)
    stage = get_args(types["stages"])[1]
    tables = {
        "agent": types["agent_settings"],
        "vpc": types["vpc"],
        "turn": types["turn"],
        "observability": types["observability"],
        "server": get_type_hints(stage)["server"],
        "stages.NAME": stage,
    }
    return {
        name: {field.name: field.default for field in fields(kind) if field.name != "name"}
        for name, kind in tables.items()
    }


def _shown(default: object) -> str:
    return f"`{str(default).lower()}`" if isinstance(default, int) else ""


def _services() -> str:
    """Return the services of each stage, as keys of [services] and their values."""
    stages = {
        stage: listed(names)
        for record in options()["pipelines"]
        for stage, names in record["services"].items()
    }
    named = "; ".join(f"`{stage}`: {names}" for stage, names in stages.items())
    return f"{named}. `llm` can also be the ID of a text model of Amazon Bedrock"


_RULES = {
    "role": "ARN of an execution role that exists. Without: voicecore creates one.",
    "permissions_boundary": "ARN of the policy that bounds every role that voicecore creates.",
    "role_path": "Path of every role that voicecore creates, such as `/teams/voice/`.",
    "service_role": "ARN of the role with which CloudFormation changes the stacks.",
    "kms_key": "ARN of the key that encrypts secrets, log groups and a new image repository.",
    "repository": "URI of an ECR repository that exists. Without: voicecore creates one.",
    "tags": "Table: tags of every resource.",
}

_OWN = f'Only with `pipeline = "{CUSTOM}"`.'

_SETTINGS: dict[str, dict[str, tuple[str, str]]] = {
    "": {
        "name": ("required", "Name of the project: a-z, 0-9 and single hyphens."),
        "id": ("", "Tells the project's resources from another's of its name; `init` makes it."),
        "transports": ("required", f"List of {listed(names_of('transports'))}."),
        "pipeline": ("required", f"One of {listed([*names_of('pipelines'), CUSTOM])}."),
        "region": ("required", "AWS region of the stages that name none of their own."),
        "services": ("", f"Table: the service of each stage of the pipeline. {_services()}."),
        "voicecore": ("", "Version of voicecore that created the project."),
        "account": ("any", "The only AWS account to deploy to, as 12 digits in quotes."),
        "platform": (
            "`v1`",
            "AgentCore's platform: `v2` starts sessions from a snapshot, `v1` boots each one.",
        ),
        "network": (
            "`vpc` for `webrtc` and `daily`, else `public`",
            "`public`: AgentCore's own network. `vpc`: a network of your own.",
        ),
        "vpc": ("", "Table: the network, if `network` is `vpc`."),
        "turn": ("", "Table: the TURN source, for `webrtc`."),
        "telephony": ("", "Table: the phone providers, for `telephony`."),
        "agent": ("", "Table: the agent's program and what it may do."),
        "observability": ("", "Table: what a deployed agent reports besides its log."),
        "server": ("", "Table: the session server: its program, and its address for phone calls."),
        "stages": ("`dev`", "Tables, one for each stage."),
        **{key: ("", meaning) for key, meaning in _RULES.items()},
    },
    "vpc": {
        "subnets": ("", "IDs of your own private subnets. Without: voicecore makes a VPC."),
        "security_groups": ("", "IDs of your own security groups; needed with `subnets`."),
        "ha": ("", "One NAT gateway for each availability zone of voicecore's VPC."),
        "endpoints": (
            "",
            "VPC endpoints in place of NAT gateways: voicecore's VPC has no way to the internet.",
        ),
    },
    "turn": {
        "source": ("`kvs`", "TURN source; see [Choose a TURN source](../turn.md)."),
        "peak_calls": ("", "Calls at the same time; sets the number of KVS channels."),
    },
    "observability": {
        "traces": (
            "",
            "The agent in AWS sends the spans of its calls to CloudWatch; see "
            "[Traces](../operate.md#traces). Local agents write them in any case.",
        ),
    },
    "telephony": {
        "providers": ("required", f"List of {listed(names_of('providers'))}."),
    },
    "agent": {
        "folder": ("`agent`", f"Folder in which the agent runs. {_OWN}"),
        "command": (
            f"required for `{CUSTOM}`",
            f"Command line that starts it; `$PORT` in it becomes its port. {_OWN}",
        ),
        "requirements": (
            "",
            "`pyproject.toml` or a file of requirements, in the folder or one level up; nothing "
            f"is installed without it. {_OWN}",
        ),
        "port": ("", f"Port at which it always listens; 0 if it reads `PORT`. {_OWN}"),
        "request_headers": ("", "List: headers of a caller's request that reach the agent."),
        "environment": (
            "",
            "Table: variables of the agent that are not secret. Its `.env` overrides them.",
        ),
        "uses": ("", f"List: AWS services that its role allows, of {listed(list(SERVICES))}."),
    },
    "server": {
        "folder": ("", f"Folder in which the session server runs; the project's. {_OWN}"),
        "command": (
            "",
            f"Command line that starts it; without it, a `{CUSTOM}` project has none. {_OWN}",
        ),
        "requirements": ("", f"File that lists its packages, as in `[agent]`. {_OWN}"),
        "health": (
            "",
            "Path that answers 200 when it is ready; without it, any answer tells that. " + _OWN,
        ),
        "port": ("", f"Port at which it always listens; 0 if it reads `PORT`. {_OWN}"),
        "domain": ("a CloudFront name", "Host name under which phone providers call the server."),
        "concurrency": (
            "",
            "Requests that a server on Lambda answers at once: the most that a flood makes you pay "
            "for. Not reserved if the account has too few.",
        ),
        "certificate": (
            "",
            "ARN of the ACM certificate for `domain`, in the region of the stage.",
        ),
        "peak_calls": ("", "Calls at the same time; one task for every 25."),
        "drain_minutes": (
            "",
            "How long an update leaves open calls on the old server; 0 cuts them.",
        ),
    },
    "stages.NAME": {
        "region": ("`region`", "AWS region of the stage."),
        "account": ("`account`", "The only AWS account to deploy the stage to."),
        "platform": ("`platform`", "AgentCore's platform of the stage: `v1` or `v2`."),
        "idle_timeout": (
            "",
            "Seconds without a call after which AgentCore ends a session (60 to 28800).",
        ),
        "max_lifetime": ("", "Seconds after which AgentCore ends a session (60 to 28800)."),
        "log_retention_days": ("", "Days that CloudWatch keeps the logs."),
        "server": ("`[server]`", "Table: settings of `[server]` for this stage."),
        **{key: (f"`{key}`", meaning) for key, meaning in _RULES.items()},
        "tags": ("`[tags]`", "Table: tags of this stage, added to those of `[tags]`."),
    },
}
