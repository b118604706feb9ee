"""What the tests of the network share: one of its kind, as it is on its first day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.nat.lab import NatLab, lab


@pytest.fixture(scope="session")
def net() -> Iterator[NatLab]:
    """The agent behind AWS's kind of NAT, the client behind a home's."""
    with lab() as net:
        yield net
