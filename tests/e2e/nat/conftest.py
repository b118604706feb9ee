"""What the tests of the network share: one of each kind, as on its first day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.nat.calls import Calls, calls, make_project
from tests.standins.nat.checks import make_agent
from tests.standins.nat.lab import NatLab, lab
from tests.standins.nat.providers import Providers, providers


@pytest.fixture(scope="session")
def net() -> Iterator[NatLab]:
    """The agent behind AWS's kind of NAT, the client behind a home's."""
    with lab() as net:
        yield net


@pytest.fixture(scope="session")
def hosts(net: NatLab) -> Iterator[Providers]:
    """Cloudflare and Twilio, known to both sides."""
    with providers(net) as hosts:
        hosts.let_know(net.agent)
        hosts.let_know(net.client)
        yield hosts


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent that looks for relays."""
    return make_agent(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="session")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose bot says again what it was told."""
    return make_project(tmp_path_factory.mktemp("made") / "echoing")


@pytest.fixture(scope="session")
def phone(
    net: NatLab, hosts: Providers, echoing: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calls]:
    """Its agent, to be called; TURN is Cloudflare's, which a test may let go wrong."""
    turn = {**hosts.variables, "TURN_SOURCE": "cloudflare"}
    with calls(net, echoing, tmp_path_factory.mktemp("calls"), turn, hosts.names) as phone:
        yield phone
