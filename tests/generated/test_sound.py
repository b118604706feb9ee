"""An agent hears audio of any shape, and tells what became of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import uv

from tests.generated.projects import WITH_SERVERS, only, run

PROPERTIES = Path(__file__).with_name("sound_properties.py")


@only(WITH_SERVERS[:1])
def test_properties_of_hearing(project: Path, tmp_path: Path) -> None:
    path = shutil.copy(PROPERTIES, tmp_path / "test_properties.py")
    with_hypothesis = (uv.find_uv_bin(), "run", "--frozen", "--with", "hypothesis", "python")
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path))
    run(project / "agent", *with_hypothesis, "-m", "pytest", *options, str(path))
