"""The pure parts of `voicecore dev --nat`: requirements, resolvers, firewall rules."""

import pytest

from voicecore.console.errors import ExitCode
from voicecore.local.network.nat import internet_rules, resolvers_in, unavailable


@pytest.mark.parametrize(
    ("platform", "user", "missing", "words"),
    [
        ("darwin", 0, [], "needs Linux"),
        (
            "linux",
            0,
            ["turnserver", "ip"],
            "sudo apt-get install coturn iproute2 && sudo systemctl",
        ),
        ("linux", 0, ["iptables"], "sudo apt-get install iptables"),
        ("linux", 1000, [], "sudo --preserve-env"),
    ],
)
def test_error_names_what_is_missing_and_the_command(
    platform: str, user: int, missing: list[str], words: str
) -> None:
    error = unavailable(platform, user, missing)
    assert error is not None and error.exit_code == ExitCode.MISSING_TOOL
    assert words in f"{error.message} {error.hint}"


def test_root_on_linux_with_all_tools_can_use_nat() -> None:
    assert unavailable("linux", 0, []) is None


def test_only_resolvers_that_the_agent_can_reach_are_used() -> None:
    text = (
        "# by hand\nnameserver 127.0.0.53\nnameserver 192.168.1.1\nnameserver fd00::1\nnameserver"
    )
    assert resolvers_in(text) == ["192.168.1.1"]


def test_firewall_is_opened_only_for_this_network() -> None:
    for _, _, rule in internet_rules("vcn1-0", "198.18.7.0/24"):
        assert "vcn1-0" in rule and "--comment" in rule
