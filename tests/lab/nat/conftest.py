"""What the tests of the network share: one of each kind, as on its first day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.nat.calls import Calls, calls
from tests.lab.nat.checks import make_agent
from tests.lab.nat.lab import NatLab, lab
from tests.lab.nat.providers import Providers, providers


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
def phone(
    net: NatLab, hosts: Providers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Calls]:
    """A running agent, to be called."""
    with calls(net, hosts, tmp_path_factory.mktemp("calls")) as phone:
        yield phone
