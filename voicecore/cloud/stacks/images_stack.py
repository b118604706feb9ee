"""Owns the stack of a project's image repository, which the stages of a region share.

It is a stack of its own because images outlive a stage: the repository exists within seconds, so a
push does not wait for the rest; a failed or deleted stage deletes no image; and the image that was
tested in one stage can be deployed to the next.
"""

from __future__ import annotations

import json

from voicecore.cloud.iam.server_roles import repository_policy
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Resource, Stack, StackOutput, get_att, ref, template
from voicecore.project import aws_names

REPOSITORY_URI = "RepositoryUri"

# A tag is a fingerprint and never moves, so an untagged image is an interrupted push. Tagged images
# stay: ECR cannot know which of them a stage still runs. A build in AWS keeps its packages in
# images with cache-* tags, for the next build.
_LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "Interrupted pushes",
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
            "description": "Package caches of builds in AWS",
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
    """Return the stack of the ECR repository that the project's stages in one region share."""
    key = deployment.stage.kms_key
    encryption = {"EncryptionType": "KMS", "KmsKey": key}
    repository = Resource(
        "AWS::ECR::Repository",
        {
            **({"EncryptionConfiguration": encryption} if key else {}),
            "RepositoryName": aws_names.repository_for(deployment.name),
            "ImageScanningConfiguration": {"ScanOnPush": True},
            # A moved tag would leave the running image untagged, and the lifecycle would delete it.
            "ImageTagMutability": "IMMUTABLE",
            "EmptyOnDelete": True,
            "LifecyclePolicy": {"LifecyclePolicyText": json.dumps(_LIFECYCLE)},
            # Always set: the stages share the repository, and any of them may have a server.
            "RepositoryPolicyText": repository_policy(deployment),
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
                    "URI that images are pushed to", get_att("Repository", "RepositoryUri")
                ),
                "RepositoryName": StackOutput("Name of the repository", ref("Repository")),
            },
        ),
        parameters={},
        tags=deployment.tags(aws_names.SHARED),
    )
