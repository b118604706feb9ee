"""InvokeAgentRuntimeCommand: which requests are valid, and AWS's framing of the answer."""

import json

import pytest
from botocore.eventstream import EventStreamBuffer

from voicecore.local.api_errors import ApiError
from voicecore.local.gateway.commands import ShellCommand, chunk, read_command


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"command": "ls"}', ShellCommand("ls", 300)),
        (b'{"command": "ls", "timeout": 3600}', ShellCommand("ls", 3600)),
        (b'{"command": "ls", "timeout": 3601}', "timeout"),
        (b'{"command": "ls", "timeout": 0}', "timeout"),
        (b'{"command": "ls", "timeout": true}', "timeout"),
        (b'{"command": ""}', "command"),
        (json.dumps({"command": "a" * 65_537}).encode(), "command"),
        (b'{"command": ["ls"]}', "command"),
        (b'["ls"]', "command"),
        (b"ls", "command"),
    ],
)
def test_command_is_read_or_refused(body: bytes, expected: ShellCommand | str) -> None:
    found = read_command(body)
    if isinstance(found, ApiError):
        assert found.status == 400
        assert isinstance(expected, str) and expected in found.message
    else:
        assert found == expected


def test_botocore_reads_the_frames() -> None:
    buffer = EventStreamBuffer()
    sent = [{"contentStart": {}}, {"contentDelta": {"stdout": "grüße\n"}}]
    buffer.add_data(b"".join(map(chunk, sent)))
    messages = [message.to_response_dict() for message in buffer]
    assert [json.loads(message["body"]) for message in messages] == sent
    assert {message["headers"][":event-type"] for message in messages} == {"chunk"}
