"""The options of each command, and its help: one dataclass per command.

`voicecore COMMAND --help` is built from the dataclass: its docstring, and the `Option` or
`Argument` that annotates each field. `voicecore --help` imports them all, so no module here
imports anything that takes time, and no dataclass has a repr or comparison, which take time to
generate. None has `from __future__ import annotations`: the annotations are read at run time.
"""

from pathlib import Path
from typing import Annotated

from voicecore.console.command_line import Option


def transport_names() -> list[str]:
    """Return the transports of the catalog."""
    from voicecore.catalog.transports import TRANSPORTS

    return list(TRANSPORTS)


def provider_names() -> list[str]:
    """Return the phone providers of the catalog."""
    from voicecore.catalog.phones import PHONES

    return list(PHONES)


def region_names() -> list[str]:
    """Return the regions that AgentCore Runtime is available in."""
    from voicecore.catalog.regions import AGENTCORE

    return list(AGENTCORE)


def stage_names() -> list[str]:
    """Return the stages of the project in this folder. Raises what reading it may raise."""
    from voicecore.project.project import load_project

    return list(load_project(Path.cwd()).stages)


def version_names() -> list[str]:
    """Return the versions of this folder's project that the last command read from AWS."""
    from voicecore.project.known_versions import read_known
    from voicecore.project.project import load_project

    return read_known(load_project(Path.cwd()).local)


Json = Annotated[bool, Option("Print JSON.", once=True)]
JsonEvents = Annotated[bool, Option("Print one JSON object per line.", once=True)]
SkipPrompts = Annotated[
    bool, Option("Skip prompts and accept the defaults.", short="-y", once=True)
]
SkipConfirmation = Annotated[bool, Option("Skip the confirmation prompt.", short="-y", once=True)]
ProjectFolder = Annotated[
    Path | None,
    Option("Project folder.  [default: current folder]", short="-p", metavar="DIR"),
]
StageName = Annotated[
    str,
    Option("Stage, such as dev or prod.", short="-s", metavar="NAME", completions=stage_names),
]
RegionName = Annotated[
    str | None,
    Option("AWS region.  [default: from voicecore.toml]", metavar="NAME", choices=region_names),
]
ProfileName = Annotated[
    str | None, Option("AWS profile.  [default: as for the AWS CLI]", metavar="NAME")
]
ApiKeyVariable = Annotated[
    str, Option("Environment variable that holds the session server's API key.", metavar="NAME")
]
Providers = Annotated[
    tuple[str, ...],
    Option(
        "Phone provider, for telephony: {choices}; repeatable.",
        name="--provider",
        metavar="NAME",
        choices=provider_names,
        commas=True,
    ),
]
