"""Owns the permissions of the agent's execution role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicecore.catalog import regions
from voicecore.cloud.iam.statements import AGENTCORE, IMAGE_PULL, Statement, trust_policy
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, arn, sub
from voicecore.project import aws_names


def execution_role_trust() -> Json:
    """Return the trust policy: AgentCore, for runtimes of this account and region only.

    As in runtime-permissions; without the conditions AgentCore could be made to use the role for
    another customer (the confused deputy).
    """
    condition = {
        "StringEquals": {"aws:SourceAccount": sub("${AWS::AccountId}")},
        "ArnLike": {"aws:SourceArn": arn("bedrock-agentcore", "*")},
    }
    return trust_policy(AGENTCORE, condition, sid="AssumeRolePolicy")


def execution_role_statements(deployment: Deployment, secret: Any = None) -> list[Statement]:
    """Return what the role allows: what this pipeline and these transports use, no more.

    `secret` is the ARN of the secret with other providers' keys, if there is one. The statements
    are those of runtime-permissions, narrowed to this project's resources wherever IAM can.
    """
    groups = f"log-group:/aws/bedrock-agentcore/runtimes/{deployment.runtime_name}-*"
    statements = [
        Statement(
            "EcrPull",
            IMAGE_PULL,
            (arn("ecr", f"repository/{aws_names.repository_for(deployment.name)}"),),
        ),
        Statement("EcrToken", ("ecr:GetAuthorizationToken",)),
        Statement(
            "LogsGroup", ("logs:CreateLogGroup", "logs:DescribeLogStreams"), (arn("logs", groups),)
        ),
        Statement("LogsList", ("logs:DescribeLogGroups",), (arn("logs", "log-group:*"),)),
        Statement(
            "LogsWrite",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (arn("logs", f"{groups}:log-stream:*"),),
        ),
    ]
    for service in deployment.uses:
        if service.name in _AWS_SERVICES:
            statements.append(_AWS_SERVICES[service.name](deployment))
    # The agent stops its own session after its last call, and one that it was started for after the
    # session's end.
    runtimes = arn("bedrock-agentcore", f"runtime/{deployment.runtime_name}-*")
    statements.append(Statement("HangUp", ("bedrock-agentcore:StopRuntimeSession",), (runtimes,)))
    statements += turn_statements(deployment)
    if secret is not None:
        statements.append(Statement("Secrets", ("secretsmanager:GetSecretValue",), (secret,)))
    return statements


def turn_statements(deployment: Deployment) -> list[Statement]:
    """Return the permission to get TURN credentials of the stage's own signaling channels."""
    if not turn_channels.signaling_channels(deployment):
        return []
    return [
        Statement(
            "Turn",
            (
                "kinesisvideo:DescribeSignalingChannel",
                "kinesisvideo:GetSignalingChannelEndpoint",
                "kinesisvideo:GetIceServerConfig",
            ),
            (arn("kinesisvideo", f"channel/{turn_channels.channel_prefix(deployment)}*/*"),),
        )
    ]


def _nova_sonic(_: Deployment) -> Statement:
    # AWS's samples differ in which of the two the bidirectional stream needs.
    return Statement(
        "BedrockSonic",
        ("bedrock:InvokeModel", "bedrock:InvokeModelWithBidirectionalStream"),
        (_model(regions.NOVA_SONIC_MODEL, "${AWS::Region}"),),
    )


def _nova_lite(deployment: Deployment) -> Statement:
    # An inference profile passes the call on to its model in any region of its geography.
    profile = regions.inference_profile_for(deployment.stage.region)
    return Statement(
        "BedrockText",
        ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"),
        (_model(regions.NOVA_LITE_MODEL, "*"), arn("bedrock", f"inference-profile/{profile}")),
    )


def _transcribe(_: Deployment) -> Statement:
    return Statement(
        "Transcribe",
        # Pipecat opens the second; IAM knows no resources for them.
        ("transcribe:StartStreamTranscription", "transcribe:StartStreamTranscriptionWebSocket"),
    )


def _polly(_: Deployment) -> Statement:
    return Statement("Polly", ("polly:SynthesizeSpeech",))


_AWS_SERVICES: dict[str, Callable[[Deployment], Statement]] = {
    "nova-2-sonic": _nova_sonic,
    "nova-lite": _nova_lite,
    "transcribe": _transcribe,
    "polly": _polly,
}
"""The permission that each AWS service needs; other services need a key instead."""


def _model(model: str, region: str) -> Json:
    return sub(f"arn:${{AWS::Partition}}:bedrock:{region}::foundation-model/{model}")
