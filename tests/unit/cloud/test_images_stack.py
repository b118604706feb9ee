import json

from tests.unit.cloud.deployments import deployment
from voicecore.cloud.images_stack import images_stack


def test_stages_share_the_repository() -> None:
    assert images_stack(deployment()) == images_stack(deployment(name="prod"))


def test_no_image_that_runs_can_be_expired() -> None:
    repository = images_stack(deployment()).resources["Repository"]["Properties"]
    # Images are pushed by a tag that cannot move, and only those without one expire.
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    (rule,) = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["tagStatus"] == "untagged"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
