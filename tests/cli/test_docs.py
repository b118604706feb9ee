"""`voicecore docs` prints the documentation for programs."""

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode


def test_lists_the_pages(voicecore: Voicecore) -> None:
    shown = voicecore("docs").stdout.splitlines()
    assert "update                     Update a project" in shown
    assert not [line for line in shown if line.startswith(("changelog", "contributing"))]
    pages = voicecore("docs", "--json").json
    assert {"page": "transports/webrtc", "title": "WebRTC"} in pages
    assert len(pages) == len(shown)


@pytest.mark.parametrize("name", ["transports/webrtc", "transports/webrtc.md"])
def test_prints_a_page(voicecore: Voicecore, name: str) -> None:
    assert voicecore("docs", name).stdout.startswith("# WebRTC\n")
    assert voicecore("docs", name, "--json").json["text"].startswith("# WebRTC\n")


def test_marks_never_show(voicecore: Voicecore) -> None:
    shown = voicecore("docs", "reference/commands").stdout
    assert "<!--" not in shown
    assert "(Generated: `commands`." in shown


@pytest.mark.parametrize("name", ["deply", "../README", "/etc/passwd"])
def test_unknown_page_is_refused(voicecore: Voicecore, name: str) -> None:
    result = voicecore("docs", name)
    assert result.code == ExitCode.USAGE
    assert "List the pages:  voicecore docs" in result.stderr
    assert ("did you mean 'deploy'" in result.stderr) == (name == "deply")
    assert "'?." not in result.stderr
