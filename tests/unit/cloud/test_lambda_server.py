"""The stack of a session server on Lambda."""

import pytest

from tests.unit.cloud.deployments import AGENT, IMAGE, deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.lambda_server import ServerEnvironmentTooLarge, lambda_server_stack
from voicecore.cloud.stacks.stack import Stack


def stack_with(value: str) -> Stack:
    return lambda_server_stack(deployment(), Environment({"LOG_LEVEL": value}, {}), IMAGE, AGENT)


def test_function_takes_4096_bytes_of_variables() -> None:
    function = stack_with("").resources["Function"]["Properties"]
    variables = function["Environment"]["Variables"]
    # ARNs are not known yet: the longest counts.
    values = [value if isinstance(value, str) else "x" * 160 for value in variables.values()]
    left = 4096 - sum(map(len, [*variables, *values]))
    stack_with("x" * left)
    with pytest.raises(ServerEnvironmentTooLarge, match="4097 bytes"):
        stack_with("x" * (left + 1))
