"""What a destroy removes, and what it keeps."""

import pytest

from voicecore.cloud.deploy.destroy import Removal, StillNeeded, removal_of
from voicecore.cloud.deploy.inventory import StackFound


def found(*names: str) -> list[StackFound]:
    return [
        StackFound(f"voicecore-x-{name}", f"arn:{name}", "CREATE_COMPLETE", name) for name in names
    ]


def removal(*there: str, network: bool = False) -> Removal:
    return removal_of("x", "dev", found(*there), [], network)


def names(stacks: tuple[StackFound, ...]) -> list[str]:
    return [stack.stage for stack in stacks]


def test_the_last_stage_takes_the_images_with_it_and_leaves_the_network() -> None:
    all_of_it = removal("dev", "images", "network")
    assert names(all_of_it.stacks) == ["dev", "images"]
    assert names(all_of_it.kept) == ["network"]
    assert all_of_it.images and all_of_it.network is None


def test_the_network_goes_last() -> None:
    all_of_it = removal("dev", "images", "network", network=True)
    assert names(all_of_it.stacks) == ["dev", "images", "network"]
    assert all_of_it.kept == ()
    assert all_of_it.network is not None


def test_other_stages_keep_what_they_share() -> None:
    one = removal("dev", "prod", "images", "network")
    assert names(one.stacks) == ["dev"]
    assert names(one.kept) == ["prod", "images", "network"]


def test_a_network_that_another_stage_stands_on_is_not_removed() -> None:
    with pytest.raises(StillNeeded) as error:
        removal("dev", "prod", "network", network=True)
    assert "voicecore destroy --stage prod" in str(error.value.hint)


def test_what_an_earlier_destroy_left_is_removed() -> None:
    assert names(removal("images", "network", network=True).stacks) == ["images", "network"]
    assert removal_of("x", "dev", [], ["/aws/group"], False).log_groups == ("/aws/group",)


def test_nothing_is_nothing() -> None:
    assert removal().empty
    assert removal("network").empty
