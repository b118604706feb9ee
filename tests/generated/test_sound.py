"""An agent hears audio of any shape, tells what became of it, and needs its workarounds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import uv

from tests.generated.projects import WITH_SERVERS, only, run

HERE = Path(__file__).parent


@only(WITH_SERVERS[:1])
@pytest.mark.parametrize("name", ["sound_properties", "pipecat_faults"])
def test_in_the_environment_of_an_agent(project: Path, tmp_path: Path, name: str) -> None:
    path = shutil.copy(HERE / f"{name}.py", tmp_path / f"test_{name}.py")
    with_hypothesis = (uv.find_uv_bin(), "run", "--frozen", "--with", "hypothesis", "python")
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path))
    run(project / "agent", *with_hypothesis, "-m", "pytest", *options, str(path))
