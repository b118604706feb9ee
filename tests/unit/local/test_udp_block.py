"""The firewall rules of `--network public`, and the machines that can apply them."""

import pytest

from voicecore.local.network.udp_block import block_rules, can_block


def test_rules_allow_dns_and_reject_other_udp() -> None:
    first, second = (" ".join(rule) for rule in block_rules(7))
    assert first == "OUTPUT -p udp -m owner --gid-owner 7 ! -o lo -j REJECT"
    assert second == "OUTPUT -p udp -m owner --gid-owner 7 --dport 53 -j ACCEPT"


@pytest.mark.parametrize(
    ("platform", "user", "missing", "possible"),
    [
        ("linux", 0, [], True),
        ("linux", 1000, [], False),
        ("linux", 0, ["ip6tables"], False),
        ("darwin", 0, [], False),
    ],
)
def test_only_root_on_linux_can_block_udp(
    platform: str, user: int, missing: list[str], possible: bool
) -> None:
    assert can_block(platform, user, missing) == possible
