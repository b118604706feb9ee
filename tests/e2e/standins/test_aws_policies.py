"""The stand-in of AWS evaluates the policies of callers, and CloudFormation acts with them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.standins.aws_calls import role_of, runtime_request
from tests.standins.aws import Aws
from tests.standins.aws.example_stacks import Json, Stacks, images


def allow(*actions: str, on: str = "*", **condition: Any) -> Json:
    """Return a policy's statement."""
    allowed: Json = {"Effect": "Allow", "Action": list(actions), "Resource": on}
    return allowed | ({"Condition": {"StringEquals": condition}} if condition else {})


def refusal(aws: Aws, service: str, operation: str, *policies: Json, **params: Any) -> str:
    """Return the message of the refusal; empty if the call is allowed."""
    client = aws.client(service, caller=aws.new_caller(policies=policies))
    try:
        getattr(client, operation)(**params)
    except ClientError as error:
        return error.response["Error"]["Message"]
    return ""


@pytest.mark.parametrize("policy", [
    allow("ecr:DescribeRepositories", "ecr:TagResource"),
    allow("ecr:CreateRepository", "ecr:TagResource", on="arn:aws:ecr:*:*:repository/one"),
    allow("ecr:CreateRepository"),  # the tags need a permission, too
])  # fmt: skip
def test_action_resource_and_tags_must_be_allowed(aws: Aws, policy: Json) -> None:
    wanted = {"repositoryName": "two", "tags": [{"Key": "k", "Value": "v"}]}
    message = refusal(aws, "ecr", "create_repository", policy, **wanted)
    assert "is not authorized to perform: ecr:" in message
    assert "on resource: arn:aws:ecr:us-east-1:123456789012:repository/two" in message
    both = allow("ecr:CreateRepository", "ecr:TagResource", on="arn:aws:ecr:*:*:repository/two")
    assert refusal(aws, "ecr", "create_repository", both, **wanted) == ""


def test_conditions_must_hold(aws: Aws) -> None:
    here, elsewhere = (
        allow("ec2:CreateVpc", **{"aws:RequestedRegion": region})
        for region in ("us-east-1", "eu-west-1")
    )
    assert "ec2:CreateVpc" in refusal(aws, "ec2", "create_vpc", elsewhere, CidrBlock="10.0.0.0/16")
    assert refusal(aws, "ec2", "create_vpc", here, CidrBlock="10.0.0.0/16") == ""


def test_role_may_be_passed_to_no_other_service(aws: Aws) -> None:
    request = runtime_request(aws, roleArn=role_of(aws))
    aws.client("bedrock-agentcore-control").create_agent_runtime(
        **request | {"agentRuntimeName": "first"}
    )
    create = allow("bedrock-agentcore:CreateAgentRuntime")
    for service in ("lambda", "bedrock-agentcore"):
        to = allow("iam:PassRole", **{"iam:PassedToService": f"{service}.amazonaws.com"})
        refused = refusal(
            aws, "bedrock-agentcore-control", "create_agent_runtime", create, to, **request
        )
        assert ("iam:PassRole" in refused) == (service == "lambda"), refused


def test_list_of_all_stacks_needs_permission_for_all(aws: Aws, stacks: Stacks) -> None:
    stacks.deploy("one", images())
    one = "arn:aws:cloudformation:*:*:stack/one/*"
    read, listing = "cloudformation:DescribeStacks", allow("cloudformation:ListStacks")
    ask = (aws, "cloudformation", "describe_stacks")
    assert refusal(*ask, allow(read, on=one), StackName="one") == ""
    assert f"perform: {read} on" in refusal(*ask, allow(read, on=one), listing)
    assert "cloudformation:ListStacks" in refusal(*ask, allow(read))
    assert refusal(*ask, allow(read), listing) == ""


def test_cloudformation_acts_with_the_policies_of_its_caller(aws: Aws) -> None:
    caller = aws.new_caller(policies=[allow(
        "cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet",
        "cloudformation:ExecuteChangeSet", "cloudformation:TagResource",
        "cloudformation:DescribeStacks",
    )])  # fmt: skip
    stack = Stacks(aws.client("cloudformation", caller=caller)).deploy("one", images())
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = aws.client("cloudformation").describe_stack_events(StackName="one")["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    assert any("not authorized to perform: ecr:CreateRepository" in why for why in reasons)


def test_simulator_agrees(aws: Aws) -> None:
    caller = aws.new_caller(policies=[
        allow("ec2:CreateVpc", **{"aws:RequestedRegion": "us-east-1"}),
        allow("iam:SimulatePrincipalPolicy"),
    ])  # fmt: skip
    arn = f"arn:aws:iam::{caller.account}:role/developer"
    for region, decision in (("us-east-1", "allowed"), ("eu-west-1", "implicitDeny")):
        entry = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": [region],
                 "ContextKeyType": "string"}  # fmt: skip
        answer = aws.client("iam", caller=caller).simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=["ec2:CreateVpc"], ContextEntries=[entry]
        )
        assert answer["EvaluationResults"][0]["EvalDecision"] == decision
