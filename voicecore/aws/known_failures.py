"""Owns the failures that AWS is known to report, each with the fix that voicecore suggests.

They come from AWS's developer guide and the issue threads of its SDK, starter toolkit and samples
(autumn 2026). docs/known-failures.md explains them, and those that AWS reports in no words of its
own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class KnownFailure:
    """A failure that is recognized by AWS's message."""

    pattern: str
    """Regular expression for the message; case is ignored."""
    fix: str


KNOWN_FAILURES = (
    # The execution role is too new to be known everywhere, or its trust policy was changed.
    KnownFailure(
        r"role validation failed|cannot be assumed|can't be assumed|unable to assume",
        "Deploy again. If it persists, let bedrock-agentcore.amazonaws.com assume the role again.",
    ),
    # The execution role may not pull the image, or the image is in another region or account.
    KnownFailure(
        r"access denied while validating ecr",
        "Deploy again, which restores the role; keep the image in the runtime's region.",
    ),
    # A tag policy of the organization allows other values of a tag.
    KnownFailure(
        r"tag policy does not allow",
        "Give that tag a value that the policy allows, under [tags] in voicecore.toml.",
    ),
    # The deploying identity lacks a permission.
    KnownFailure(r"iam:PassRole", "Ask for the statement that the message names."),
    # The image is amd64; AgentCore runs linux/arm64 only.
    KnownFailure(
        r"exec format error|architecture (is )?incompatible|"
        r"incompatible (cpu )?architecture|not (an )?arm64",
        "Let `voicecore deploy` build the image; it builds linux/arm64.",
    ),
    # AgentCore's names allow letters, digits and underscores, 48 at most.
    KnownFailure(
        r"\[a-zA-Z\]\[a-zA-Z0-9_\]\{0,47\}",
        "Give the project a name of a-z, 0-9 and single hyphens; voicecore derives the rest.",
    ),
    # boto3 is older than the service.
    KnownFailure(
        r"unknown service: '?bedrock-agentcore|unknown parameter in input: "
        r'"(platformVersion|metadataConfiguration)"',
        "Upgrade voicecore:  pip install --upgrade voicecore-cli",
    ),
    # The region lacks the platform; AWS has no complete list of those that have it.
    KnownFailure(
        r"platform ?version",
        'Set platform = "v1" in voicecore.toml, or deploy to another region.',
    ),
    # A runtime in VPC mode was sent without subnets and security groups.
    KnownFailure(
        r"networkmodeconfig is required",
        'Set network = "public", or [vpc] with both lists, in voicecore.toml.',
    ),
    # AgentCore supports only some zones of a region, and identifies them by zone ID.
    KnownFailure(
        r"unsupported availability zone|subnets?[^.]{0,80}(not|un)[ -]?supported",
        "Use subnets in the zones that the message lists, or remove [vpc] from voicecore.toml.",
    ),
    # The name is taken, or the runtime is being updated.
    KnownFailure(
        r"conflictexception|status code: 409",
        "Wait until it is READY (`voicecore status` shows it) and deploy again.",
    ),
    # A runtime's environment may have 4 KB in all (2.5 KB on platform V2).
    KnownFailure(
        r"environment ?variables?[^.]{0,80}(size|exceed|too large|4 ?KB|4096)",
        "Move configuration from agent/.env into a file beside bot.py.",
    ),
    # Docker Hub limits anonymous pulls.
    KnownFailure(
        r"toomanyrequests", "Build from public.ecr.aws, as the generated Dockerfile does."
    ),
    # Docker sends a login that has expired.
    KnownFailure(
        r"403[^.]{0,80}public\.ecr\.aws|public\.ecr\.aws[^.]{0,80}403",
        "Remove the expired login:  docker logout public.ecr.aws",
    ),
    # Zip deployments need arm64 wheels, which some packages of Pipecat lack.
    KnownFailure(
        r"binary files that are incompatible with linux arm64",
        "Deploy the container image, as voicecore does.",
    ),
    # AgentCore accepts images of 2 GB at most.
    KnownFailure(
        r"image.{0,80}(size|exceed|too large).{0,80}(2 ?GB|limit|maximum)",
        "Remove heavy packages (torch, CUDA wheels) from agent/pyproject.toml.",
    ),
    # Slow imports, a model that is downloaded at start, or a server on 127.0.0.1.
    KnownFailure(
        r"initiali[sz]ation time exceeded",
        "Reproduce it locally:  voicecore dev --start-limit 30",
    ),
    # A wrong CMD, a missing package or a wrong port.
    KnownFailure(r"runtimeclienterror", "Read the agent's log:  voicecore logs"),
    # An image of more than about 53 layers with a named USER.
    KnownFailure(
        r"overlay[^.]{0,40}mount|mount[^.]{0,40}overlay",
        "Keep `USER 1000` and few layers in agent/Dockerfile.",
    ),
    # The runtime still allows the old metadata service.
    KnownFailure(r"mmdsv2", "Deploy again: voicecore turns requireMMDSV2 on."),
    # A session ID has 33 to 100 letters, digits, hyphens or underscores.
    KnownFailure(
        r"runtimeSessionId.{0,120}(length|pattern|constraint)", "Use a uuid4 as session ID."
    ),
    # A wrong clock, a header added after signing, or a presigned URL of over 300 s.
    KnownFailure(
        r"signaturedoesnotmatch|signature (does not match|expired|not yet current)|"
        r"requesttimetooskewed|request has expired",
        "Set this machine's clock by NTP, then try again.",
    ),
    # The runtime expects a JWT and the caller signs by SigV4, or the reverse.
    KnownFailure(
        r"authorization method mismatch",
        "Call it with the method that the runtime was deployed for: `voicecore talk --remote` "
        "signs by SigV4.",
    ),
    # The endpoint is not READY yet, or the qualifier is wrong.
    KnownFailure(r"no endpoint or agent found", "Wait until it is READY:  voicecore status"),
    # Sessions accumulate: they are not stopped, or /ping always reports busy.
    KnownFailure(
        r"maxvms",
        "Stop sessions at hang-up, lower idle_timeout in voicecore.toml, or raise quota "
        "L-3E5722B2.",
    ),
    # AgentCore keeps its network interfaces for up to 8 hours after the last runtime.
    KnownFailure(
        r"dependencyviolation|has (a |some )?dependen(t|cies)",
        "Finish later:  voicecore destroy --network --wait",
    ),
    # A POST was sent to the WebSocket's path.
    KnownFailure(r"not a websocket upgrade request", "Connect to /ws with wss://"),
    # A secret was deleted by hand, which only schedules it: its name stays taken.
    KnownFailure(
        r"(marked|scheduled) for deletion",
        "Restore the secret:  aws secretsmanager restore-secret --secret-id NAME\n"
        "Or free its name:  aws secretsmanager delete-secret --secret-id NAME "
        "--force-delete-without-recovery",
    ),
    # Other functions have reserved what this one would.
    KnownFailure(
        r"UnreservedConcurrentExecution below its minimum",
        "Lower concurrency under [server] in voicecore.toml, and deploy.",
    ),
    # A signaling channel answers 5 GetIceServerConfig requests per second.
    KnownFailure(
        r"clientlimitexceeded", "Raise peak_calls under [turn] in voicecore.toml, and deploy."
    ),
    # kinesisvideo actions are missing, or the ARN lacks its /*.
    KnownFailure(r"kinesisvideo:\w+", "Deploy again, which restores the execution role."),
    # A permission is missing, or the region lacks the model.
    KnownFailure(
        r"bedrock:InvokeModel(WithBidirectionalStream)?",
        "Deploy in a region that has the model; deploy again to restore the role.",
    ),
    # Python below 3.12, or the extra aws-nova-sonic is missing.
    KnownFailure(
        r"no module named '?aws_sdk_bedrock_runtime",
        "Keep Python 3.13 in agent/Dockerfile and the extra in agent/pyproject.toml.",
    ),
    # OpenCV needs libraries of the operating system.
    KnownFailure(r"libGL\.so\.1", "Install libgl1 and libglib2.0-0 in agent/Dockerfile."),
    # ws:// or a query string in the stream's URL.
    KnownFailure(r"\b31922\b", "Use wss:// and <Parameter>."),
    # No container has started yet, or the role may not write logs.
    KnownFailure(r"log group does not exist", "Call the agent once:  voicecore talk --remote"),
)


def find_known_failure(message: str) -> KnownFailure | None:
    """Return the first known failure that AWS's `message` matches."""
    return next((known for known in KNOWN_FAILURES if _regex(known.pattern).search(message)), None)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)
