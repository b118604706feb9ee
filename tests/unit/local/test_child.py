"""The output line that explains the death of a process."""

import pytest

from voicecore.local.processes.child import last_error

TRACEBACK = """\
starting
Traceback (most recent call last):
  File "app.py", line 3, in <module>
    import pipecat
    ^^^^^^^^^^^^^^
ModuleNotFoundError: No module named 'pipecat'
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'pipecat'"),
        (TRACEBACK + "bye\n", "ModuleNotFoundError: No module named 'pipecat'"),
        (TRACEBACK + TRACEBACK.replace("pipecat", "boto3"), "No module named 'boto3'"),
        ("hello\nSegmentation fault\n\n", "Segmentation fault"),
        ("", "it wrote nothing"),
    ],
)
def test_last_error_is_the_end_of_the_last_traceback_or_of_the_output(
    output: str, expected: str
) -> None:
    assert last_error(output.splitlines()).endswith(expected)
