import json

from tests.unit.cloud.deployments import deployment
from voicecore.cloud.stacks.images_stack import images_stack


def test_stages_share_the_repository() -> None:
    assert images_stack(deployment()) == images_stack(deployment(name="prod"))


def test_no_image_that_runs_can_be_expired() -> None:
    repository = images_stack(deployment()).resources["Repository"]["Properties"]
    # Images are pushed by a tag that cannot move; only what has none expires, and what builds keep.
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    cut_off, kept = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert cut_off["selection"]["tagStatus"] == "untagged"
    assert kept["selection"]["tagPatternList"] == ["cache-*"]
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
