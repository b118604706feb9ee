"""Every resource type that the stand-in's CloudFormation knows."""

from tests.standins.aws.cloudformation import fargate, kinds

KINDS = kinds.KINDS | fargate.KINDS
