"""`voicecore destroy` refuses options that exclude each other, before it asks AWS."""

from itertools import combinations

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode


@pytest.mark.parametrize(
    "flags", [*combinations(("--network", "--only-network", "--only-server"), 2)], ids=" ".join
)
def test_refuses_options_that_exclude_each_other(
    voicecore: Voicecore, flags: tuple[str, ...]
) -> None:
    result = voicecore("destroy", *flags)
    assert result.code == ExitCode.USAGE
    assert "Use one of them." in result.stderr
