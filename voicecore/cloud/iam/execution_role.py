"""Owns the permissions of the agent's execution role."""

from __future__ import annotations

from typing import Any

from voicecore.catalog.models import Model
from voicecore.cloud.iam.statements import (
    AGENTCORE,
    IMAGE_PULL,
    Statement,
    key_statements,
    repository_arn,
    trust_policy,
)
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, arn, sub


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
        Statement("EcrPull", IMAGE_PULL, (repository_arn(deployment),)),
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
        if service.model:
            statements.append(_model_statement(service.model, deployment.stage.region))
        elif service.name in _AWS_SERVICES:
            statements.append(_AWS_SERVICES[service.name])
    statements += [
        Statement(
            f"Uses{''.join(part.title() for part in service.name.split('-'))}",
            service.actions,
            tuple(sub(arn) for arn in service.resources) if service.resources != ("*",) else ("*",),
        )
        for service in deployment.own_uses
    ]
    # The agent stops its own session after its last call, and one that it was started for after the
    # session's end.
    runtimes = arn("bedrock-agentcore", f"runtime/{deployment.runtime_name}-*")
    statements.append(Statement("HangUp", ("bedrock-agentcore:StopRuntimeSession",), (runtimes,)))
    statements += turn_statements(deployment)
    if deployment.traced:
        statements += _trace_statements(arn("logs", groups))
    if secret is not None:
        statements.append(Statement("Secrets", ("secretsmanager:GetSecretValue",), (secret,)))
        statements += key_statements(deployment)
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


def _trace_statements(groups: Json) -> list[Statement]:
    """Return what AWS's OpenTelemetry package needs (runtime-permissions).

    The runtime's log groups, which get the spans, need a policy that lets X-Ray write them.
    """
    return [
        Statement(
            "Xray",
            (
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
            ),
        ),
        Statement(
            "Metrics",
            ("cloudwatch:PutMetricData",),
            condition={"StringEquals": {"cloudwatch:namespace": "bedrock-agentcore"}},
        ),
        Statement("LogsPolicy", ("logs:PutResourcePolicy",), (groups,)),
    ]


def _model_statement(model: Model, region: str) -> Statement:
    if model.bidirectional:
        # AWS's samples differ in which of the two the bidirectional stream needs.
        return Statement(
            "BedrockSonic",
            ("bedrock:InvokeModel", "bedrock:InvokeModelWithBidirectionalStream"),
            (_arn_of(model, "${AWS::Region}"),),
        )
    # An inference profile passes the call on to its model in any region of its geography.
    return Statement(
        "BedrockText",
        ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"),
        (_arn_of(model, "*"), arn("bedrock", f"inference-profile/{model.name_in(region)}")),
    )


_AWS_SERVICES = {
    "transcribe": Statement(
        "Transcribe",
        # Pipecat opens the second; IAM knows no resources for them.
        ("transcribe:StartStreamTranscription", "transcribe:StartStreamTranscriptionWebSocket"),
    ),
    "polly": Statement("Polly", ("polly:SynthesizeSpeech",)),
}
"""The permission that each AWS service without a Bedrock model needs; others need a key."""


def _arn_of(model: Model, region: str) -> Json:
    return sub(f"arn:${{AWS::Partition}}:bedrock:{region}::foundation-model/{model.id}")
