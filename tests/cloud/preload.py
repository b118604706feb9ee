"""Loads botocore's service descriptions once, in the process that all runs are forked from."""

from voicecore.aws.session import new_session

_SERVICES = (
    "sts", "cloudformation", "ecr", "ec2", "iam", "logs", "secretsmanager", "service-quotas",
    "bedrock", "bedrock-agentcore-control", "kinesisvideo", "s3", "codebuild",
)  # fmt: skip

for _service in _SERVICES:
    new_session().create_client(
        _service, region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-"
    )
