"""The repository of a project's images: a stack of its own, shared by the stages of a region.

Of its own, because images outlive a stage's changes: it is there in seconds, so that a push need
not wait for the rest; a failed or removed stage takes no image with it; and what was tried in one
stage goes to the next as it is.
"""

from __future__ import annotations

import json

from voicecore.cloud.stacks import iam
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Resource, Stack, StackOutput, get_att, ref, template
from voicecore.project import aws_names

REPOSITORY_URI = "RepositoryUri"

# A tag is a fingerprint and never moves, so an image without one is a push that was cut off.
# Tagged images stay: ECR cannot know which of them a stage still runs. A build in AWS leaves its
# packages in images of their own, for the next build to start from.
_LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "Pushes that were cut off",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 1,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "What builds in AWS keep for the next",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["cache-*"],
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 30,
            },
            "action": {"type": "expire"},
        },
    ]
}


def images_stack(deployment: Deployment) -> Stack:
    """The ECR repository that all stages of the project in one region share."""
    repository = Resource(
        "AWS::ECR::Repository",
        {
            "RepositoryName": aws_names.repository_for(deployment.name),
            "ImageScanningConfiguration": {"ScanOnPush": True},
            # A moved tag would leave the image that runs without one, and so to the lifecycle.
            "ImageTagMutability": "IMMUTABLE",
            "EmptyOnDelete": True,
            "LifecyclePolicy": {"LifecyclePolicyText": json.dumps(_LIFECYCLE)},
            # Always: the stages share it, and each may have a server or none.
            "RepositoryPolicyText": iam.repository_policy(deployment),
        },
    )
    return Stack(
        name=aws_names.images_stack_name_for(deployment.name),
        template=template(
            f"Images of the voicecore project {deployment.name}",
            {"Repository": repository},
            {},
            {
                REPOSITORY_URI: StackOutput(
                    "Where images are pushed to", get_att("Repository", "RepositoryUri")
                ),
                "RepositoryName": StackOutput("The repository", ref("Repository")),
            },
        ),
        parameters={},
        tags=deployment.tags(aws_names.SHARED),
    )
