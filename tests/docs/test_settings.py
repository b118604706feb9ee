"""The reference of voicecore.toml agrees with what voicecore accepts."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT
from voicecore.project.project import BadProject, load_project

PAGE = ROOT / "docs/reference/voicecore-toml.md"
EXAMPLE, OWN_AGENT = re.findall(r"```toml[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)


def documented(site: Path) -> dict[str, set[str]]:
    """Keys of each table on the built page."""
    page = (site / "reference/voicecore-toml.html").read_text(encoding="utf-8")
    tables: dict[str, set[str]] = {}
    for title, body in re.findall(r"<h2[^>]*>([^<]+)<.*?<table>(.*?)</table>", page, re.DOTALL):
        name = "" if title == "Top level" else title.strip("[]")
        tables[name] = set(re.findall(r"<tr>\s*<td><code>([^<]+)</code>", body))
    return tables


def keys_of(document: dict[str, Any]) -> dict[str, set[str]]:
    """Keys of each table of the example, stages together."""
    found: dict[str, set[str]] = {"": set(document)}
    own = tomllib.loads(OWN_AGENT)
    for name in ("agent", "vpc", "turn", "observability", "telephony", "server"):
        found[name] = set(document[name]) | set(own.get(name, ()))
    found["stages.NAME"] = {key for stage in document["stages"].values() for key in stage}
    return found


def test_example_has_every_documented_key(site: Path) -> None:
    assert keys_of(tomllib.loads(EXAMPLE)) == documented(site)


@pytest.mark.parametrize(("example", "name"), [(EXAMPLE, "support-line"), (OWN_AGENT, "my-agent")])
def test_voicecore_accepts_examples(tmp_path: Path, example: str, name: str) -> None:
    (tmp_path / "voicecore.toml").write_text(example)
    assert load_project(tmp_path).name == name


@pytest.mark.parametrize("heading", ["", "[agent]", "[vpc]", "[turn]", "[telephony]", "[server]",
                                     "[stages.dev]"])  # fmt: skip
def test_voicecore_rejects_other_keys(tmp_path: Path, heading: str) -> None:
    other = f"{heading}\nno_such_key = 1\n"
    document = EXAMPLE.replace(heading, other, 1) if heading else f"no_such_key = 1\n{EXAMPLE}"
    (tmp_path / "voicecore.toml").write_text(document)
    with pytest.raises(BadProject, match="no_such_key"):
        load_project(tmp_path)


@pytest.mark.parametrize("key", ["idle_timeout", "max_lifetime"])
def test_session_limits_are_as_documented(tmp_path: Path, key: str) -> None:
    for value, is_valid in ((59, False), (60, True), (28800, True), (28801, False)):
        stage = "[stages.dev]\nidle_timeout = 60\nmax_lifetime = 28800\n"
        stage = re.sub(rf"{key} = \d+", f"{key} = {value}", stage)
        document = EXAMPLE.replace("[stages.dev]\nidle_timeout = 120\n", stage)
        (tmp_path / "voicecore.toml").write_text(document)
        if is_valid:
            load_project(tmp_path)
        else:
            with pytest.raises(BadProject, match=key):
                load_project(tmp_path)
