"""The stack of the image repository."""

import json

from tests.unit.cloud.deployments import deployment
from voicecore.cloud.stacks.images_stack import images_stack


def test_stages_share_the_repository() -> None:
    assert images_stack(deployment()) == images_stack(deployment(name="prod"))


def test_running_image_never_expires() -> None:
    repository = images_stack(deployment()).resources["Repository"]["Properties"]
    # An image's tag cannot move; only untagged images and package caches expire.
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    untagged, caches = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert untagged["selection"]["tagStatus"] == "untagged"
    assert caches["selection"]["tagPatternList"] == ["cache-*"]
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
