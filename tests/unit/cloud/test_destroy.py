"""Stacks that destroy deletes and keeps."""

import pytest

from voicecore.cloud.deploy.destroy import DeployedByOthers, Removal, StillUsed, stage_removal
from voicecore.cloud.resources.inventory import StackSummary


def found(*names: str) -> list[StackSummary]:
    return [
        StackSummary(f"voicecore-x-{name}", f"arn:{name}", "CREATE_COMPLETE", name)
        for name in names
    ]


def removal(*deployed: str, network: bool = False) -> Removal:
    return stage_removal("x", "dev", found(*deployed), [], network)


def names(stacks: tuple[StackSummary, ...]) -> list[str]:
    return [stack.stage for stack in stacks]


def test_last_stage_is_deleted_with_the_images_but_not_the_network() -> None:
    last = removal("dev", "images", "network")
    assert names(last.stacks) == ["dev", "images"]
    assert names(last.kept) == ["network"]
    assert last.images and last.network is None


def test_network_is_deleted_last() -> None:
    last = removal("dev", "images", "network", network=True)
    assert names(last.stacks) == ["dev", "images", "network"]
    assert last.kept == ()
    assert last.network is not None


def test_shared_stacks_are_kept_for_other_stages() -> None:
    one = removal("dev", "prod", "images", "network")
    assert names(one.stacks) == ["dev"]
    assert names(one.kept) == ["prod", "images", "network"]


def test_network_that_another_stage_uses_is_not_deleted() -> None:
    with pytest.raises(StillUsed) as error:
        removal("dev", "prod", "network", network=True)
    assert "voicecore destroy --stage prod" in str(error.value.hint)


def test_leftovers_of_an_earlier_destroy_are_deleted() -> None:
    assert names(removal("images", "network", network=True).stacks) == ["images", "network"]
    assert stage_removal("x", "dev", [], ["/aws/group"], False).log_groups == ("/aws/group",)


def test_stacks_under_names_of_others_are_refused() -> None:
    theirs = StackSummary("StackSet-voice-8c1b", "arn:x", "CREATE_COMPLETE", "dev")
    with pytest.raises(DeployedByOthers, match="StackSet-voice-8c1b") as raised:
        stage_removal("x", "dev", [*found("images"), theirs], [], False)
    assert "delete-stack --stack-name StackSet-voice-8c1b" in str(raised.value.hint)


def test_removal_is_empty_when_nothing_is_deployed() -> None:
    assert removal().empty
    assert removal("network").empty
