"""The catalogue of failures: what AWS says, what is behind it, and what helps.

The numbers are those of the AgentCore failure catalogue (developer guide and the issue threads of
AWS's SDK, starter toolkit and samples, autumn 2026). Preflight finds before a deploy what is
marked DEPLOY; where AWS's own words reach us, `failure_in` recognises them by `pattern`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Check(StrEnum):
    """When a failure can be found."""

    DEPLOY = "before a deploy"
    ACCOUNT = "by asking the account"
    LOGS = "from the logs"
    PROBE = "by a call"
    NEVER = "never before it happens"


@dataclass(frozen=True)
class Failure:
    """One way in which voice agents on AgentCore have failed."""

    number: int
    symptom: str
    cause: str
    fix: str
    check: Check
    pattern: str = ""
    """A regular expression for AWS's words; empty where it says none, or says them of much else."""


FAILURES = (
    Failure(
        1,
        "Role validation failed, or the role cannot be assumed",
        "the execution role is seconds old and not known everywhere yet, or its trust was changed",
        "Deploy again. If it stays, let bedrock-agentcore.amazonaws.com assume the role again.",
        Check.DEPLOY,
        r"role validation failed|cannot be assumed|can't be assumed|unable to assume",
    ),
    Failure(
        2,
        "Access denied while validating the ECR URI",
        "the execution role may not pull the image, or the image is in another region or account",
        "Deploy again, which restores the role; keep the image in the runtime's own region.",
        Check.DEPLOY,
        r"access denied while validating ecr",
    ),
    Failure(
        3,
        "AccessDenied during a deploy",
        "the identity that deploys lacks a permission, often iam:PassRole",
        "Ask for the statement that the message names.",
        Check.DEPLOY,
        r"iam:PassRole",
    ),
    Failure(
        4,
        "exec format error, or: architecture incompatible",
        "the image is amd64; AgentCore runs linux/arm64 only",
        "Let `voicecore deploy` build the image; it builds linux/arm64.",
        Check.DEPLOY,
        r"exec format error|architecture (is )?incompatible|"
        r"incompatible (cpu )?architecture|not (an )?arm64",
    ),
    Failure(
        5,
        "ValidationException on a runtime's or an endpoint's name",
        "AgentCore's names take letters, digits and underscores, 48 at most",
        "Give the project a name of a-z, 0-9 and single hyphens; voicecore derives the rest.",
        Check.DEPLOY,
        r"\[a-zA-Z\]\[a-zA-Z0-9_\]\{0,47\}",
    ),
    Failure(
        6,
        "Unknown service bedrock-agentcore, or an unknown parameter",
        "boto3 is older than the service",
        "Install voicecore anew:  pip install --upgrade voicecore",
        Check.DEPLOY,
        r"unknown service: '?bedrock-agentcore|unknown parameter in input: "
        r'"(platformVersion|metadataConfiguration)"',
    ),
    Failure(
        7,
        "NetworkModeConfig is required for VPC mode",
        "a runtime in a VPC was sent without its subnets and security groups",
        'Set network = "public", or [vpc] with both lists, in voicecore.toml.',
        Check.DEPLOY,
        r"networkmodeconfig is required",
    ),
    Failure(
        8,
        "CREATE_FAILED: a subnet is in an unsupported availability zone",
        "AgentCore serves some zones of a region only, and names them by zone id",
        "Take subnets in the zones that the message lists, or leave [vpc] out of voicecore.toml.",
        Check.DEPLOY,
        r"unsupported availability zone|subnets?[^.]{0,80}(not|un)[ -]?supported",
    ),
    Failure(
        9,
        "ConflictException",
        "the name is taken, or the runtime is being changed this moment",
        "Wait until it is READY (`voicecore status` shows it) and deploy again.",
        Check.ACCOUNT,
        r"conflictexception|status code: 409",
    ),
    Failure(
        10,
        "Environment variables or the VPC are gone after an update",
        "UpdateAgentRuntime replaces everything; something else than voicecore updated the runtime",
        "Deploy again: the stack holds the whole runtime.",
        Check.DEPLOY,
    ),
    Failure(
        11,
        "ValidationException about the environment's size",
        "the environment of a runtime may have 4 KB in all (2.5 KB on platform V2)",
        "Move configuration from agent/.env into a file beside bot.py.",
        Check.DEPLOY,
        r"environment ?variables?[^.]{0,80}(size|exceed|too large|4 ?KB|4096)",
    ),
    Failure(
        12,
        "CodeBuild fails with toomanyrequests",
        "Docker Hub limits anonymous pulls",
        "Build from public.ecr.aws, as the generated Dockerfile does.",
        Check.LOGS,
        r"toomanyrequests",
    ),
    Failure(
        13,
        "403 from public.ecr.aws",
        "Docker sends a login that has expired",
        "Forget it:  docker logout public.ecr.aws",
        Check.DEPLOY,
        r"403[^.]{0,80}public\.ecr\.aws|public\.ecr\.aws[^.]{0,80}403",
    ),
    Failure(
        14,
        "A role is made although the user may make none",
        "the tool always makes its own",
        "Deploy with an identity that may make roles, or hand the exported template to one:\n"
        "voicecore deploy --export template",
        Check.DEPLOY,
    ),
    Failure(
        15,
        "A zip deploy of Pipecat fails",
        "some packages have no arm64 wheels for it",
        "Deploy the container, as voicecore does.",
        Check.DEPLOY,
        r"binary files that are incompatible with linux arm64",
    ),
    Failure(
        16,
        "The image is refused for its size",
        "AgentCore takes images of 2 GB at most",
        "Take heavy packages (torch, CUDA wheels) out of agent/pyproject.toml.",
        Check.DEPLOY,
        r"image.{0,80}(size|exceed|too large).{0,80}(2 ?GB|limit|maximum)",
    ),
    Failure(
        17,
        "There are two commands named agentcore",
        "AWS's old Python toolkit hides its new npm program",
        "pip uninstall bedrock-agentcore-starter-toolkit",
        Check.DEPLOY,
    ),
    Failure(
        18,
        "424: Runtime initialization time exceeded",
        "slow imports, a model that is fetched at the start, or a server on 127.0.0.1",
        "See it here:  voicecore dev --start-limit 30",
        Check.PROBE,
        r"initiali[sz]ation time exceeded",
    ),
    Failure(
        19,
        "The container fails as it starts (RuntimeClientError)",
        "a wrong CMD, a missing package, a wrong port",
        "See what it says:  voicecore logs",
        Check.LOGS,
        r"runtimeclienterror",
    ),
    Failure(
        20,
        "424: an overlay mount error",
        "an image of more than about 53 layers whose USER has a name",
        "Keep `USER 1000` and few layers in agent/Dockerfile.",
        Check.DEPLOY,
        r"overlay[^.]{0,40}mount|mount[^.]{0,40}overlay",
    ),
    Failure(
        21,
        "This runtime is not MMDSv2-enabled",
        "the runtime still allows the old metadata service",
        "Deploy again: voicecore turns requireMMDSV2 on.",
        Check.ACCOUNT,
        r"mmdsv2",
    ),
    Failure(
        22,
        "400: the session id is refused",
        "it must have 33 to 100 letters, digits, hyphens or underscores",
        "Take a uuid4 as session id.",
        Check.DEPLOY,
        r"runtimeSessionId.{0,120}(length|pattern|constraint)",
    ),
    Failure(
        23,
        "403: the signature does not match",
        "a wrong clock, a header added after signing, or a presigned URL of over 300 s",
        "Set this machine's clock by NTP; then try again.",
        Check.PROBE,
        r"signaturedoesnotmatch|signature (does not match|expired|not yet current)|"
        r"requesttimetooskewed|request has expired",
    ),
    Failure(
        24,
        "401 or 403 with a good token",
        "the runtime takes JWT and the caller signs by SigV4, or the reverse",
        "Call it the way the runtime was deployed: `voicecore talk --remote` signs by SigV4.",
        Check.ACCOUNT,
        r"authorization method mismatch",
    ),
    Failure(
        25,
        "404 just after a deploy",
        "the endpoint is not READY yet, or the qualifier is wrong",
        "Wait until it is:  voicecore status",
        Check.ACCOUNT,
        r"no endpoint or agent found",
    ),
    Failure(
        26,
        "402: maxVms limit exceeded",
        "sessions pile up: they are not stopped, or /ping says busy for ever",
        "Stop sessions at hang-up, lower idle_timeout in voicecore.toml, or raise "
        "quota L-3E5722B2.",
        Check.ACCOUNT,
        r"maxvms",
    ),
    Failure(
        27,
        "Calls end at exactly the idle timeout",
        "/ping does not say HealthyBusy with time_of_last_update while a call runs",
        "Keep the busy task of the generated app.py open until the call ends.",
        Check.LOGS,
    ),
    Failure(
        28,
        "The bill is high: sessions live for 8 hours",
        "/ping stamps every answer with the present, or a task is never completed",
        "Complete the task in `finally`, as the generated app.py does; lower max_lifetime.",
        Check.LOGS,
    ),
    Failure(
        29,
        "Sessions can be neither listed nor ended",
        "AgentCore has no call for it",
        "Take the ids from the log streams (`voicecore logs`); idle sessions end by themselves.",
        Check.NEVER,
    ),
    Failure(
        30,
        "New code is not seen",
        "a session runs the version that it began with until it ends",
        "Begin a new session.",
        Check.ACCOUNT,
    ),
    Failure(
        31,
        "Calls hang in a VPC",
        "the subnets have no route to a NAT gateway, or an ACL blocks the answers",
        "Give the subnets a route 0.0.0.0/0 to a NAT gateway and allow ports 1024-65535 back in.",
        Check.ACCOUNT,
    ),
    Failure(
        32,
        "A security group or subnet cannot be deleted",
        "AgentCore keeps its network interfaces for up to 8 hours after the last runtime",
        "Finish later:  voicecore destroy --network --wait",
        Check.ACCOUNT,
        r"dependencyviolation|has (a |some )?dependen(t|cies)",
    ),
    Failure(
        33,
        "Not a WebSocket Upgrade Request",
        "a POST was sent to the WebSocket's path",
        "Connect to /ws with wss://",
        Check.PROBE,
        r"not a websocket upgrade request",
    ),
    Failure(
        34,
        "/ws is refused although /invocations works",
        "the runtime's protocol is not HTTP, or the image serves no /ws",
        "Deploy again, which sets the protocol; keep /ws in agent/internal/app.py.",
        Check.ACCOUNT,
    ),
    Failure(
        35,
        "The WebSocket opens and closes at once",
        "the handler waits for its own authentication before it accepts",
        "Accept first; the platform has authenticated the caller already.",
        Check.LOGS,
    ),
    Failure(
        36,
        "The WebSocket closes with 1009 or 1008",
        "a frame above 64 KB, or more than 250 frames a second",
        "Send audio in pieces of 32 KB at most. `voicecore dev` holds the same limits.",
        Check.LOGS,
    ),
    Failure(
        37,
        "The WebSocket drops after 60 minutes",
        "AgentCore ends a stream then",
        "Connect again with the same session id, as the generated client does.",
        Check.NEVER,
    ),
    Failure(
        38,
        "Each connection has another session",
        "the session id is not in the signed URL",
        "Add it before signing, as the generated server does.",
        Check.DEPLOY,
    ),
    Failure(
        39,
        "Sessions linger when nobody speaks",
        "nobody stops them",
        "Stop the session at hang-up, as the generated server does.",
        Check.ACCOUNT,
    ),
    Failure(
        40,
        "WebRTC stays in 'checking'",
        "there is no TURN server; other candidates cannot pass the NAT gateway",
        "Give both sides TURN.",
        Check.PROBE,
    ),
    Failure(
        41,
        "WebRTC works here and never in AgentCore's public network",
        "UDP is blocked there, and the first TURN address is UDP",
        'Set network = "vpc" in voicecore.toml.',
        Check.DEPLOY,
    ),
    Failure(
        42,
        "WebRTC connects only sometimes in a VPC",
        "a security group or ACL without UDP out, or a zone without NAT",
        "Allow UDP out of every subnet's security group and ACL.",
        Check.ACCOUNT,
    ),
    Failure(
        43,
        "KVS: ClientLimitExceededException",
        "a channel answers 5 GetIceServerConfig a second",
        "Raise peak_calls under [turn] in voicecore.toml, and deploy.",
        Check.ACCOUNT,
        r"clientlimitexceeded",
    ),
    Failure(
        44,
        "KVS: access denied",
        "kinesisvideo actions are missing, or the ARN lacks its /*",
        "Deploy again, which restores the execution role.",
        Check.DEPLOY,
        r"kinesisvideo:\w+",
    ),
    Failure(
        45,
        "A caller's network blocks UDP",
        "a firewall",
        "Keep a turns: address over TCP in the browser's list.",
        Check.PROBE,
    ),
    Failure(
        46,
        "A call drops when its TURN credentials end",
        "some relays end an allocation with them",
        "Ask the relay for longer-lived ones.",
        Check.LOGS,
    ),
    Failure(
        47,
        "Daily joins and no sound comes",
        "UDP is blocked, or the network has only IPv6",
        'Set network = "vpc" in voicecore.toml.',
        Check.PROBE,
    ),
    Failure(
        48,
        "Nova Sonic: UnrecognizedClient, or credentials are missing",
        "the service takes explicit keys, with the session token",
        "Hand it the role's frozen credentials, as the generated bot.py does.",
        Check.DEPLOY,
    ),
    Failure(
        49,
        "Nova Sonic fails after hours",
        "its credentials have expired",
        "Take fresh ones for each connection, as the generated bot.py does.",
        Check.LOGS,
    ),
    Failure(
        50,
        "Nova Sonic: access denied",
        "a permission is missing, or the region lacks the model",
        "Deploy in a region of the model; deploy again to restore the role.",
        Check.DEPLOY,
        r"bedrock:InvokeModel(WithBidirectionalStream)?",
    ),
    Failure(
        51,
        "Nova Sonic stops after 8 minutes",
        "a connection to it may last no longer",
        "Keep the session continuation of the generated bot.py.",
        Check.DEPLOY,
    ),
    Failure(
        52,
        "aws_sdk_bedrock_runtime cannot be imported",
        "Python below 3.12, or the extra aws-nova-sonic is missing",
        "Keep Python 3.13 in agent/Dockerfile and the extra in agent/pyproject.toml.",
        Check.DEPLOY,
        r"no module named '?aws_sdk_bedrock_runtime",
    ),
    Failure(
        53,
        "libGL.so.1 is missing",
        "OpenCV needs libraries of the system",
        "Install libgl1 and libglib2.0-0 in agent/Dockerfile.",
        Check.DEPLOY,
        r"libGL\.so\.1",
    ),
    Failure(
        54,
        "Telnyx: the caller hears nothing",
        "the stream is not bidirectional RTP",
        "Set its mode to rtp and its codec to PCMU.",
        Check.DEPLOY,
    ),
    Failure(
        55,
        "Twilio: error 31922, or the stream never opens",
        "ws:// or a query string in the stream's URL",
        "Take wss:// and <Parameter>.",
        Check.DEPLOY,
        r"\b31922\b",
    ),
    Failure(
        56,
        "The Twilio serializer raises ValueError",
        "auto_hang_up needs call, account and token",
        "Set them, or auto_hang_up=False.",
        Check.DEPLOY,
    ),
    Failure(
        57,
        "Sound on the phone is garbled or slow",
        "the sample rate is not 8000, or PCM is sent as mu-law",
        "Run the pipeline at 8 kHz with the provider's serializer.",
        Check.PROBE,
    ),
    Failure(
        58,
        "Anybody may call the webhook",
        "its signature is not verified",
        "Verify the provider's signature.",
        Check.DEPLOY,
    ),
    Failure(
        59,
        "The log group does not exist",
        "no container has started yet, or the role may not write logs",
        "Speak to the agent once:  voicecore talk --remote",
        Check.LOGS,
        r"log group does not exist",
    ),
    Failure(
        60,
        "The log group has no lines of the agent",
        "its output is buffered",
        "Keep PYTHONUNBUFFERED=1 in agent/Dockerfile.",
        Check.LOGS,
    ),
    Failure(
        61,
        "There are no traces",
        "Transaction Search is off, or aws-opentelemetry-distro is missing",
        "Turn it on in CloudWatch, and start the agent by opentelemetry-instrument.",
        Check.ACCOUNT,
    ),
    Failure(
        62,
        "Spans are missing when a Lambda calls",
        "it sends Sampled=0",
        "Turn its active tracing on.",
        Check.LOGS,
    ),
)


def failure_in(words: str) -> Failure | None:
    """The catalogued failure that AWS's `words` tell of, if they tell of one."""
    return next((f for f in FAILURES if f.pattern and _compiled(f.pattern).search(words)), None)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)
