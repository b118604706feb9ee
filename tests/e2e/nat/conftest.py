"""Fixtures of the NAT tests; all tests share one of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.nat.calls import Calls, calls, make_project
from tests.standins.nat.lab import NatLab, nat_lab
from tests.standins.nat.turn_check_project import make_agent
from tests.standins.nat.turn_providers import TurnProviders, turn_providers


@pytest.fixture(scope="session")
def net() -> Iterator[NatLab]:
    """The agent behind a NAT as in AWS, the client behind one as at home."""
    with nat_lab() as net:
        yield net


@pytest.fixture(scope="session")
def hosts(net: NatLab) -> Iterator[TurnProviders]:
    """Cloudflare and Twilio; both sides resolve their names."""
    with turn_providers(net) as hosts:
        hosts.resolve_on(net.agent)
        hosts.resolve_on(net.client)
        yield hosts


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose agent can check TURN."""
    return make_agent(tmp_path_factory.mktemp("projects") / "tiny")


@pytest.fixture(scope="session")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose bot repeats what it hears."""
    return make_project(tmp_path_factory.mktemp("projects") / "echoing")


@pytest.fixture(scope="session")
def phone(
    net: NatLab, hosts: TurnProviders, echoing: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calls]:
    """The running agent of that project; it uses Cloudflare's TURN, which a test may break."""
    turn = {**hosts.variables, "TURN_SOURCE": "cloudflare"}
    with calls(net, echoing, tmp_path_factory.mktemp("calls"), turn, hosts.names) as phone:
        yield phone
