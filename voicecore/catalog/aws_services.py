"""Owns the AWS services that an agent may call: how code names them, and which permission it needs.

The actions are from AWS's Service Authorization Reference: those of calls, not of administration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AwsService:
    """A service that `uses` in voicecore.toml may list, with the permission that it stands for."""

    name: str
    title: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    """ARNs, as Fn::Sub reads them."""
    clients: tuple[str, ...] = ()
    """Names that boto3 and aioboto3 know it by."""
    modules: tuple[str, ...] = ()
    """Prefixes of Python modules that call it."""
    tcp_ports: tuple[int, ...] = (443,)
    """TCP ports by which the agent reaches it."""
    endpoint: str = ""
    """Interface endpoint that leads to it from a VPC; empty if voicecore creates none."""


def _actions(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


_OWN = "${AWS::Region}:${AWS::AccountId}"

SERVICES = {
    service.name: service
    for service in (
        AwsService(
            "bedrock",
            "Amazon Bedrock",
            _actions(
                "bedrock",
                "InvokeModel InvokeModelWithResponseStream InvokeModelWithBidirectionalStream",
            ),
            (
                "arn:${AWS::Partition}:bedrock:*::foundation-model/*",
                f"arn:${{AWS::Partition}}:bedrock:{_OWN}:inference-profile/*",
            ),
            ("bedrock-runtime",),
            (
                "pipecat.services.aws.llm",
                "pipecat.services.aws.AWSBedrockLLMService",
                "pipecat.services.aws.AWSNovaSonicLLMService",
                "pipecat.services.aws.nova_sonic",
                "pipecat.services.aws_nova_sonic",
                "aws_sdk_bedrock_runtime",
                "langchain_aws",
                "strands",
            ),
            endpoint="bedrock-runtime",
        ),
        AwsService(
            "bedrock-agent",
            "Knowledge Bases and agents of Amazon Bedrock",
            _actions("bedrock", "Retrieve RetrieveAndGenerate InvokeAgent"),
            (f"arn:${{AWS::Partition}}:bedrock:{_OWN}:*",),
            ("bedrock-agent-runtime",),
            ("pipecat.services.aws.agent_core",),
        ),
        AwsService(
            "transcribe",
            "Amazon Transcribe",
            # IAM knows no resources for them.
            _actions("transcribe", "StartStreamTranscription StartStreamTranscriptionWebSocket"),
            clients=("transcribe",),
            tcp_ports=(443, 8443),  # 8443 is its WebSocket
            endpoint="transcribestreaming",
            modules=(
                "pipecat.services.aws.stt",
                "pipecat.services.aws.AWSTranscribeSTTService",
                "amazon_transcribe",
                "aws_sdk_transcribe_streaming",
            ),
        ),
        AwsService(
            "polly",
            "Amazon Polly",
            _actions("polly", "SynthesizeSpeech"),
            clients=("polly",),
            modules=("pipecat.services.aws.tts", "pipecat.services.aws.AWSPollyTTSService"),
            endpoint="polly",
        ),
        AwsService(
            "translate",
            "Amazon Translate",
            _actions("translate", "TranslateText"),
            clients=("translate",),
        ),
        AwsService(
            "comprehend",
            "Amazon Comprehend",
            _actions(
                "comprehend",
                "DetectSentiment DetectDominantLanguage DetectEntities DetectPiiEntities",
            ),
            clients=("comprehend",),
        ),
        AwsService(
            "s3",
            "Amazon S3",
            _actions("s3", "GetObject PutObject ListBucket"),
            ("arn:${AWS::Partition}:s3:::*",),
            ("s3",),
        ),
        AwsService(
            "dynamodb",
            "Amazon DynamoDB",
            _actions("dynamodb", "GetItem BatchGetItem Query PutItem UpdateItem"),
            (f"arn:${{AWS::Partition}}:dynamodb:{_OWN}:table/*",),
            ("dynamodb",),
        ),
        AwsService(
            "lambda",
            "AWS Lambda",
            _actions("lambda", "InvokeFunction"),
            (f"arn:${{AWS::Partition}}:lambda:{_OWN}:function:*",),
            ("lambda",),
        ),
        AwsService(
            "sns",
            "Amazon SNS",
            _actions("sns", "Publish"),
            (f"arn:${{AWS::Partition}}:sns:{_OWN}:*",),
            ("sns",),
        ),
        AwsService(
            "sqs",
            "Amazon SQS",
            _actions("sqs", "SendMessage"),
            (f"arn:${{AWS::Partition}}:sqs:{_OWN}:*",),
            ("sqs",),
        ),
        AwsService(
            "ses",
            "Amazon SES",
            _actions("ses", "SendEmail SendRawEmail"),
            (f"arn:${{AWS::Partition}}:ses:{_OWN}:identity/*",),
            ("ses", "sesv2"),
        ),
        AwsService(
            "secretsmanager",
            "AWS Secrets Manager",
            _actions("secretsmanager", "GetSecretValue"),
            (f"arn:${{AWS::Partition}}:secretsmanager:{_OWN}:secret:*",),
            ("secretsmanager",),
        ),
        AwsService(
            "ssm",
            "AWS Systems Manager parameters",
            _actions("ssm", "GetParameter GetParameters GetParametersByPath"),
            (f"arn:${{AWS::Partition}}:ssm:{_OWN}:parameter/*",),
            ("ssm",),
        ),
        AwsService(
            "kinesisvideo",
            "Amazon Kinesis Video Streams",
            _actions(
                "kinesisvideo",
                "DescribeSignalingChannel GetSignalingChannelEndpoint GetIceServerConfig",
            ),
            (f"arn:${{AWS::Partition}}:kinesisvideo:{_OWN}:channel/*",),
            ("kinesisvideo", "kinesis-video-signaling"),
        ),
        AwsService(
            "agentcore",
            "AgentCore Memory, Identity, Browser and Code Interpreter",
            _actions(
                "bedrock-agentcore",
                "CreateEvent GetEvent ListEvents ListMemoryRecords RetrieveMemoryRecords "
                "GetWorkloadAccessToken GetResourceApiKey GetResourceOauth2Token "
                "StartBrowserSession StopBrowserSession ConnectBrowserAutomationStream "
                "StartCodeInterpreterSession InvokeCodeInterpreter StopCodeInterpreterSession",
            ),
            (f"arn:${{AWS::Partition}}:bedrock-agentcore:{_OWN}:*",),
            ("bedrock-agentcore",),
            (
                "bedrock_agentcore.memory",
                "bedrock_agentcore.identity",
                "bedrock_agentcore.tools",
            ),
        ),
    )
}
"""Services by name."""
