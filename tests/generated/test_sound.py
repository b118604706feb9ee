"""An agent hears audio of any shape, tells what became of it, and needs its workarounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generated.projects import WITH_SERVERS, only, run_properties


@only(WITH_SERVERS[:1])
@pytest.mark.parametrize("name", ["sound_properties", "pipecat_faults"])
def test_in_the_environment_of_an_agent(project: Path, tmp_path: Path, name: str) -> None:
    run_properties(project / "agent", tmp_path, name)
