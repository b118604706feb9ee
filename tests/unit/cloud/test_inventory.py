"""The search for a project's resources."""

from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws_answers import AwsAnswers
from voicecore.cloud.resources import inventory


def test_start_role_is_searched_only_for_a_server_that_carries_calls() -> None:
    missing: Any = {"Error": {"Code": "ResourceNotFoundException", "Message": "not here"}}
    absent = ClientError(missing, "Describe")
    services = {
        "iam": {"get_role": {}},
        "dynamodb": {"describe_table": absent},
        "lambda": {"get_function_configuration": absent},
        "secretsmanager": {"describe_secret": absent},
        "logs": {"describe_log_groups": {"logGroups": []}},
    }
    aws: Any = AwsAnswers(services)
    # The policies for a server on Lambda do not allow to read the role of ECS.
    found = inventory.server_resources(aws, "line", "dev", carries_calls=False)
    assert [resource.name for resource in found] == ["vc-line-dev-server-us-east-1"]
