"""What every session server's stack has: the session table, and the bound of a flood."""

import pytest

from tests.unit.cloud.deployments import (
    deployment,
    make_ecs_stack,
    make_lambda_stack,
    phone_deployment,
    statements_of,
)
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.plan import DeployPlan, lines, plan_creation
from voicecore.cloud.preflight.checks import CheckOutcome
from voicecore.cloud.preflight.quotas import FunctionLimits, concurrency_result
from voicecore.cloud.stacks.env_split import BadEnvironment, Environment, split_server_env
from voicecore.cloud.stacks.lambda_server import lambda_server_stack
from voicecore.cloud.stacks.server_stack import TABLE
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.project import ServerSettings

REDIS = {"SESSION_STORE": "rediss://store.example:6380/0"}


def store_of(stack: Stack) -> object:
    if "Function" in stack.resources:
        variables = stack.resources["Function"]["Properties"]["Environment"]["Variables"]
        return variables.get("SESSION_STORE")
    (container,) = stack.resources["Task"]["Properties"]["ContainerDefinitions"]
    return {each["Name"]: each["Value"] for each in container["Environment"]}.get("SESSION_STORE")


@pytest.mark.parametrize(
    ("stack", "role"),
    [(make_lambda_stack(deployment()), "Role"), (make_ecs_stack(phone_deployment()), "TaskRole")],
    ids=["lambda", "ecs"],
)
def test_copies_of_the_server_share_a_table(stack: Stack, role: str) -> None:
    table = stack.resources[TABLE]["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert store_of(stack) == {"Fn::Sub": "dynamodb://${SessionTable}"}
    (statement,) = [s for s in statements_of(stack, role) if s["Sid"] == "SessionTable"]
    assert statement["Resource"] == {"Fn::GetAtt": [TABLE, "Arn"]}
    assert prices.dollars_per_month("AWS::DynamoDB::Table") == 0


@pytest.mark.parametrize(
    ("stack", "role"),
    [
        (make_lambda_stack(deployment(), **REDIS), "Role"),
        (make_ecs_stack(phone_deployment(), **REDIS), "TaskRole"),
    ],
    ids=["lambda", "ecs"],
)
def test_redis_of_the_owner_replaces_the_table(stack: Stack, role: str) -> None:
    assert TABLE not in stack.resources and store_of(stack) is None
    assert "SessionTable" not in [s["Sid"] for s in statements_of(stack, role)]


def test_store_of_this_machine_is_not_deployed() -> None:
    assert split_server_env({"SESSION_STORE": "memory"}, "us-east-1") == Environment()
    with pytest.raises(BadEnvironment, match="its own"):
        split_server_env({"SESSION_STORE": "dynamodb://another"}, "us-east-1")


def test_table_counts_in_the_price_of_a_call() -> None:
    def cost(table: bool) -> dict[str, float | None]:
        items = prices.cost_per_minute(deployment(), server=True, table=table)
        return {item.what: item.dollars for item in items}

    assert "DynamoDB" not in cost(table=False)
    assert cost(table=True)["DynamoDB"] == pytest.approx(5 * 0.625e-6 + 3 * 0.125e-6)


@pytest.mark.parametrize(
    ("wanted", "account_limit", "reserved"),
    [(50, 1000, 50), (7, 1000, 7), (50, 150, 50), (50, 149, None), (50, 10, None)],
)
def test_function_reserves_its_concurrency_if_the_account_can(
    wanted: int, account_limit: int, reserved: int | None
) -> None:
    of = deployment(server=ServerSettings(concurrency=wanted))
    stack = lambda_server_stack(of, Environment(), account_limit=account_limit)
    properties = stack.resources["Function"]["Properties"]
    assert properties.get("ReservedConcurrentExecutions") == reserved


@pytest.mark.parametrize(
    ("limits", "outcome", "told"),
    [
        (FunctionLimits(1000, 1000), CheckOutcome.PASSED, ""),
        (FunctionLimits(10, 10), CheckOutcome.PASSED, "nothing is reserved"),
        (FunctionLimits(1000, 120), CheckOutcome.FAILED, "to 20 or less"),
        (FunctionLimits(1000, 100), CheckOutcome.FAILED, "--desired-value 1050"),
    ],
)
def test_preflight_tells_whether_the_concurrency_is_free(
    limits: FunctionLimits, outcome: CheckOutcome, told: str
) -> None:
    result = concurrency_result(limits, 50)
    assert result.outcome is outcome
    assert told in f"{result.message} {result.fix}"


def test_plan_tells_what_a_flood_costs() -> None:
    plan = DeployPlan((plan_creation(make_lambda_stack(deployment())),), (), 50)
    text = "\n".join("".join(span.text for span in line) for line in lines(plan))
    assert "at most 50 requests at once, so a flood costs at most $4.15 per hour" in text
    assert "session table" in text and plan.json["requests_at_once"] == 50
