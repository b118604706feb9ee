"""AGENTS.md of each project is short, and what it names exists."""

import re

import pytest
import typer

from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.cli.app import app
from voicecore.scaffold.render import Answers, Files, render

LATER = {"agent/.env", ".voicecore/"}
"""Paths that appear only after `init`."""


def project(transport: str) -> Files:
    providers = ("twilio",) if TRANSPORTS[transport].by_phone else ()
    services = services_of(PIPELINES["cascade"], {})
    return render(Answers("mine", (transport,), "cascade", "us-east-1", services, providers), "")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_paths_exist(transport: str) -> None:
    files = project(transport)
    text = files["AGENTS.md"].decode()
    assert len(text.splitlines()) < 60
    named = set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:md|py|toml))`", text)) - LATER
    assert named
    here = {*files, *(path.rpartition("/")[2] for path in files)}
    missing = {path for path in named - here if not any(name.startswith(path) for name in files)}
    assert missing == set()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_commands_exist(transport: str) -> None:
    text = project(transport)["AGENTS.md"].decode()
    known = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    named = set(re.findall(r"voicecore ([a-z-]+)(?= |`|$)", text))
    assert {"update", "docs", "deploy"} <= named <= set(known)
