"""The pure parts of `voicecore dev --nat`: requirements, resolvers, firewall rules."""

from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode
from voicecore.local.network.coturn import CoturnServer
from voicecore.local.network.namespaces import Namespace
from voicecore.local.network.nat import (
    NatEnvironment,
    internet_rules,
    resolvers_in,
    unavailable,
)
from voicecore.local.sessions.agent_process import AgentSpec


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


def test_command_that_names_localhost_listens_beyond_it_behind_the_nat() -> None:
    behind = NatEnvironment(Namespace("inside"), "198.18.7.9", True, CoturnServer("x", secret="y"))
    argv = ("python", "-m", "uvicorn", "a:app", "--host", "127.0.0.1", "--port", "$PORT")
    spec = behind.spec(AgentSpec(argv, Path("/agent"), {}))
    assert spec.argv[-4:] == ("--host", "0.0.0.0", "--port", "$PORT")
    assert spec.host == "198.18.7.9"
    assert spec.shell == ("ip", "netns", "exec", "inside", "/bin/sh", "-c")
