"""Owns the options of `voicecore dev`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from voicecore.console.command_line import Option
from voicecore.local.limits import START_LIMIT, START_LIMIT_V2
from voicecore.options import JsonEvents, ProjectFolder
from voicecore.project.defaults import IDLE_TIMEOUT, MAX_LIFETIME

LAST_PORT = 65535


@dataclass(frozen=True, eq=False, repr=False)
class DevOptions:
    """Run the project on this machine, as AgentCore Runtime would.

    Runs one agent process per session and keeps a warm one in reserve. SigV4, session rules,
    limits, timeouts and errors are AgentCore's. A saved file takes effect in the next session.
    Ctrl-C stops everything.

    \b
    Examples:
      voicecore dev
      voicecore dev --time-scale 60   # the limit of 60 minutes comes after one
      voicecore dev --platform v2     # restore each session from a snapshot
      voicecore dev --container       # run the arm64 image, as AgentCore does
      sudo voicecore dev --nat        # test TURN: no other path connects
      sudo voicecore dev --tls        # serve AWS's own host name, too
      eval "$(voicecore dev --env)"   # point boto3 and the AWS CLI at it
    """

    project: ProjectFolder = None
    port: Annotated[
        int | None,
        Option("Port of the runtime.  [default: 8080 or the next free]", min=1, max=LAST_PORT),
    ] = None
    server_port: Annotated[
        int | None,
        Option(
            "Port of the session server.  [default: 7860 or the next free]", min=1, max=LAST_PORT
        ),
    ] = None
    time_scale: Annotated[
        float, Option("Run AgentCore's timeouts this many times faster.", min=0.001)
    ] = 1.0
    idle_timeout: Annotated[
        float, Option("End a session that is idle this long.", metavar="SECONDS")
    ] = IDLE_TIMEOUT
    max_lifetime: Annotated[
        float, Option("End every session after this long.", metavar="SECONDS")
    ] = MAX_LIFETIME
    platform: Annotated[
        Literal["v1", "v2"] | None,
        Option(
            "Start sessions as this AgentCore platform: v1 boots the agent for each, v2 restores "
            "each from a snapshot.  [default: from voicecore.toml]"
        ),
    ] = None
    start_limit: Annotated[
        float | None,
        Option(
            "Time an agent has to answer /ping; not scaled by --time-scale.  [default: "
            f"{START_LIMIT:g}, or {START_LIMIT_V2:g} on v2]",
            metavar="SECONDS",
            min=0.1,
        ),
    ] = None
    strict: Annotated[
        bool,
        Option(
            "Refuse also what AWS may refuse: an unencoded ARN, a session ID in a "
            "header beside a presigned URL or of more than 100 characters."
        ),
    ] = False
    jwt_discovery_url: Annotated[
        str | None,
        Option(
            "Authorize callers by the bearer tokens of this OpenID issuer, as a runtime with a "
            "JWT authorizer does, instead of by AWS signatures.",
            metavar="URL",
        ),
    ] = None
    jwt_audience: Annotated[
        tuple[str, ...], Option("Allowed `aud` of a token; repeatable.", metavar="AUDIENCE")
    ] = ()
    jwt_client: Annotated[
        tuple[str, ...], Option("Allowed `client_id` of a token; repeatable.", metavar="ID")
    ] = ()
    network: Annotated[
        Literal["vpc", "public"],
        Option("Network mode; public blocks the agent's UDP, as AgentCore does (Linux, root)."),
    ] = "vpc"
    tls: Annotated[
        bool,
        Option(
            "Serve AWS's own host name too, for programs that hard-code it (port 443); nothing of "
            "this machine changes."
        ),
    ] = False
    nat: Annotated[
        bool,
        Option("Run the agent behind a NAT like that of AWS, with TURN (Linux, root)."),
    ] = False
    container: Annotated[bool, Option("Run the agent's image in Docker instead of its source.")] = (
        False
    )
    no_screen: Annotated[bool, Option("Print one line per event instead of a screen.")] = False
    share: Annotated[
        bool, Option("Print how someone on another machine can talk to the agent.")
    ] = False
    json: JsonEvents = False
    env: Annotated[
        bool, Option("Print the variables that point boto3 at the running runtime, for `eval`.")
    ] = False
