"""All resource types that the stand-in's CloudFormation knows, by name."""

from tests.standins.aws.cloudformation.types import (
    agentcore,
    auto_scaling,
    cloudfront,
    dynamodb,
    ec2,
    ecr,
    ecs,
    iam,
    kvs,
    lambda_types,
    load_balancing,
    logs,
    secrets_manager,
)

RESOURCE_TYPES = (
    ec2.RESOURCE_TYPES
    | iam.RESOURCE_TYPES
    | ecr.RESOURCE_TYPES
    | logs.RESOURCE_TYPES
    | secrets_manager.RESOURCE_TYPES
    | kvs.RESOURCE_TYPES
    | agentcore.RESOURCE_TYPES
    | lambda_types.RESOURCE_TYPES
    | ecs.RESOURCE_TYPES
    | load_balancing.RESOURCE_TYPES
    | auto_scaling.RESOURCE_TYPES
    | cloudfront.RESOURCE_TYPES
    | dynamodb.RESOURCE_TYPES
)
