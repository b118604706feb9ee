"""The double of CloudFormation in unit tests answers as the stand-in does, which boto3 calls."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws import Aws
from tests.standins.cloudformation_double import CloudFormationDouble

PROJECT = [{"Key": "voicecore:project", "Value": "x"}]


def template(days: int) -> str:
    group = {"LogGroupName": "/x", "RetentionInDays": days}
    resource = {"Type": "AWS::Logs::LogGroup", "Properties": group}
    return json.dumps({"Resources": {"Group": resource}})


def ended(client: Any, name: str) -> str:
    """Return the stack's status when nothing changes it any more."""
    while True:
        status = client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        client.describe_stack_events(StackName=name)
        if not status.endswith("_IN_PROGRESS"):
            return status


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Return the code of a refused call, and its message without the parts that name a stack."""
    try:
        call(**arguments)
    except ClientError as error:
        details = error.response["Error"]
        return details["Code"], details["Message"].partition("[")[0].removesuffix(" ")
    return "", "not refused"


def story(client: Any) -> list[Any]:
    """Create, change and delete a stack; return what the client answers."""
    told: list[Any] = [refusal(client.describe_stacks, StackName="s")]
    same: dict[str, Any] = {"StackName": "s", "TemplateBody": template(7), "Parameters": [],
                            "Tags": PROJECT}  # fmt: skip
    told.append(refusal(client.update_stack, **same, ClientRequestToken="early"))
    client.create_stack(**same, ClientRequestToken="create")
    told.append(ended(client, "s"))
    stack = client.describe_stacks(StackName="s")["Stacks"][0]
    told += [stack["StackName"], stack["Tags"]]
    told.append(refusal(client.create_stack, **same, ClientRequestToken="again"))
    told.append(refusal(client.update_stack, **same, ClientRequestToken="same"))
    change_set = client.create_change_set(**same, ChangeSetName="c", ChangeSetType="UPDATE")["Id"]
    told.append(client.describe_change_set(ChangeSetName=change_set)["Status"])
    client.delete_change_set(ChangeSetName=change_set)
    client.update_stack(**same | {"TemplateBody": template(14)}, ClientRequestToken="update")
    told.append(ended(client, "s"))
    body = client.get_template(StackName="s")["TemplateBody"]
    told.append(json.loads(body) if isinstance(body, str) else body)
    events = reversed(client.describe_stack_events(StackName="s")["StackEvents"])
    told += [(event["ResourceStatus"], event.get("ClientRequestToken") or "") for event in events
             if event["PhysicalResourceId"] == stack["StackId"]]  # fmt: skip
    client.delete_stack(StackName="s", ClientRequestToken="delete")
    told += [ended(client, stack["StackId"]), refusal(client.describe_stacks, StackName="s")]
    return told


def test_double_answers_as_the_stand_in(aws: Aws) -> None:
    assert story(CloudFormationDouble()) == story(aws.client("cloudformation"))
