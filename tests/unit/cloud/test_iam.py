"""IAM policies: within AWS's own recommendations, and without findings of a policy linter."""

import json
import re
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from policy_sentry.querying.actions import get_action_data

from tests.unit.cloud.deployments import (
    ACCOUNT,
    AGENT,
    OWN_VPC,
    TABLE,
    WEBRTC,
    WEBSOCKET,
    deployment,
    make_agent_stack,
    make_ecs_stack,
    make_lambda_stack,
    phone_deployment,
    resolve,
    statements_of,
)
from voicecore.cloud.iam.codebuild import codebuild_statements
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.iam.server_deployer import server_deployer_statements
from voicecore.cloud.iam.statements import policy_documents

HERE = f"us-east-1:{ACCOUNT}"
GROUPS = f"arn:aws:logs:{HERE}:log-group:"
RUNTIMES = f"{GROUPS}/aws/bedrock-agentcore/runtimes/*"
MODELS = "arn:aws:bedrock:*::foundation-model/*"

# The most that AWS's guide allows the role of a Pipecat agent (runtime-permissions; Kinesis Video
# Streams: kvswebrtc-how-iam; Service Authorization Reference: Transcribe, Polly).
AT_MOST = {
    "EcrPull": ("ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
                [f"arn:aws:ecr:{HERE}:repository/voicecore/support-line"]),
    "EcrToken": ("ecr:GetAuthorizationToken", ["*"]),
    "LogsGroup": ("logs:DescribeLogStreams logs:CreateLogGroup", [RUNTIMES]),
    "LogsList": ("logs:DescribeLogGroups", [f"{GROUPS}*"]),
    "LogsWrite": ("logs:CreateLogStream logs:PutLogEvents", [f"{RUNTIMES}:log-stream:*"]),
    "BedrockText": ("bedrock:InvokeModel bedrock:InvokeModelWithResponseStream",
                    [MODELS, f"arn:aws:bedrock:{HERE}:inference-profile/*"]),
    "BedrockSonic": ("bedrock:InvokeModel bedrock:InvokeModelWithBidirectionalStream",
                     ["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-2-*"]),
    "Transcribe": ("transcribe:StartStreamTranscription "
                   "transcribe:StartStreamTranscriptionWebSocket", ["*"]),
    "Polly": ("polly:SynthesizeSpeech", ["*"]),
    "HangUp": ("bedrock-agentcore:StopRuntimeSession",
               [f"arn:aws:bedrock-agentcore:{HERE}:runtime/support_line_dev-*"]),
    "Turn": ("kinesisvideo:DescribeSignalingChannel kinesisvideo:GetSignalingChannelEndpoint "
             "kinesisvideo:GetIceServerConfig",
             [f"arn:aws:kinesisvideo:{HERE}:channel/voicecore-support-line-dev-*/*"]),
    "Secrets": ("secretsmanager:GetSecretValue",
                [f"arn:aws:secretsmanager:{HERE}:secret:voicecore/support-line/dev-*"]),
    "Xray": ("xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules "
             "xray:GetSamplingTargets", ["*"]),
    "Metrics": ("cloudwatch:PutMetricData", ["*"]),
    "LogsPolicy": ("logs:PutResourcePolicy", [RUNTIMES]),
    # The session server's (runtime-permissions: what a caller needs; Lambda: lambda-intro-
    # execution-role, without the creation of log groups).
    "Sessions": ("bedrock-agentcore:InvokeAgentRuntime "
                 "bedrock-agentcore:InvokeAgentRuntimeWithWebSocketStream "
                 "bedrock-agentcore:StopRuntimeSession",
                 [AGENT, f"{AGENT}/runtime-endpoint/dev"]),
    "SessionTable": ("dynamodb:GetItem dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem "
                     "dynamodb:Query", [TABLE]),
    "Logs": ("logs:CreateLogStream logs:PutLogEvents",
             [f"{GROUPS}/aws/lambda/voicecore-support-line-dev-server:log-stream:*"]),
}  # fmt: skip
# The most that AWS allows ECS to start tasks (task_execution_IAM_role, for one project).
AT_MOST_TO_START = {
    "EcrPull": (AT_MOST["EcrPull"][0] + " ecr:BatchCheckLayerAvailability", AT_MOST["EcrPull"][1]),
    "EcrToken": AT_MOST["EcrToken"],
    "Secrets": AT_MOST["Secrets"],
    "Logs": ("logs:CreateLogStream logs:PutLogEvents",
             [f"{GROUPS}/ecs/voicecore-support-line-dev-server:log-stream:*"]),
}  # fmt: skip
ALWAYS = ["EcrPull", "EcrToken", "LogsGroup", "LogsList", "LogsWrite"]

EVERY = [
    deployment(pipeline, *transports, network="vpc", services=services)
    for pipeline in ("nova-sonic", "cascade", "offline")
    for transports in ((WEBSOCKET,), (WEBRTC,), (WEBSOCKET, WEBRTC))
    for services in (
        ({}, {"stt": "deepgram", "tts": "cartesia"}) if pipeline == "cascade" else ({},)
    )
]
EVERY.append(replace(EVERY[0], traced=True))


def label(of) -> str:
    return "-".join([of.pipeline.name, *(t.name for t in of.transports), *of.services.values()])


def lists(value) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("of", EVERY, ids=label)
@pytest.mark.parametrize("secret", [{}, {"KEY": "x"}], ids=["", "secret"])
def test_no_statement_is_broader_than_aws_recommends(of, secret) -> None:
    both = statements_of(make_agent_stack(of, **secret)) + statements_of(
        make_lambda_stack(of, **secret)
    )
    assert_within(both, AT_MOST)


def assert_within(statements, at_most) -> None:
    for statement in resolve(statements):
        actions, resources = at_most[statement["Sid"]]
        assert set(statement["Action"]) <= set(actions.split())
        for resource in lists(statement["Resource"]):
            assert any(fnmatchcase(resource, pattern) for pattern in resources), resource
        assert statement["Effect"] == "Allow" and "NotAction" not in statement


class TestServerOnEcs:
    STACK = make_ecs_stack(phone_deployment(), KEY="x")

    def test_task_role_allows_only_its_agent(self) -> None:
        own = statements_of(self.STACK, "TaskRole")
        assert_within(own, {sid: AT_MOST[sid] for sid in ("Sessions", "SessionTable")})
        assert_within(statements_of(self.STACK, "StartRole"), AT_MOST_TO_START)

    def test_linter_finds_nothing(self) -> None:
        for role in ("TaskRole", "StartRole"):
            found = [findings(s) for s in resolve(statements_of(self.STACK, role))]
            assert {row for rows in found for row in rows} == set()

    def test_only_tasks_of_this_account_assume_its_roles(self) -> None:
        for role in ("TaskRole", "StartRole"):
            document = self.STACK.resources[role]["Properties"]["AssumeRolePolicyDocument"]
            (statement,) = resolve(document)["Statement"]
            assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


@pytest.mark.parametrize(
    ("pipeline", "services", "transport", "sids"),
    [
        ("offline", {}, WEBSOCKET, ["HangUp"]),
        ("nova-sonic", {}, WEBSOCKET, ["BedrockSonic", "HangUp"]),
        ("nova-sonic", {}, WEBRTC, ["BedrockSonic", "HangUp", "Turn"]),
        ("cascade", {}, WEBSOCKET, ["Transcribe", "BedrockText", "Polly", "HangUp"]),
        ("cascade", {"stt": "deepgram"}, WEBSOCKET, ["BedrockText", "Polly", "HangUp"]),
        (
            "cascade",
            {"stt": "deepgram", "tts": "cartesia"},
            WEBRTC,
            ["BedrockText", "HangUp", "Turn"],
        ),
    ],
)
def test_execution_role_allows_only_what_is_used(pipeline, services, transport, sids) -> None:
    of = deployment(pipeline, transport, services=services)
    assert [s["Sid"] for s in statements_of(make_agent_stack(of))] == ALWAYS + sids
    assert [s["Sid"] for s in statements_of(make_agent_stack(of, KEY="x"))] == [
        *ALWAYS,
        *sids,
        "Secrets",
    ]


def test_execution_role_allows_traces_where_the_agent_sends_them() -> None:
    traced = statements_of(make_agent_stack(replace(deployment("offline"), traced=True)))
    assert [s["Sid"] for s in traced] == [*ALWAYS, "HangUp", "Xray", "Metrics", "LogsPolicy"]
    (metrics,) = (s for s in traced if s["Sid"] == "Metrics")
    # Otherwise it could write into the namespaces of others.
    assert metrics["Condition"] == {"StringEquals": {"cloudwatch:namespace": "bedrock-agentcore"}}


@pytest.mark.parametrize(
    ("region", "profile"),
    [
        ("us-east-1", "us."),
        ("eu-west-1", "eu."),
        ("ap-northeast-1", "jp."),
        ("sa-east-1", "global."),
    ],
)
def test_inference_profile_follows_the_region(region: str, profile: str) -> None:
    statements = {
        s["Sid"]: s for s in statements_of(make_agent_stack(deployment("cascade", region=region)))
    }
    resource = statements["BedrockText"]["Resource"][1]["Fn::Sub"]
    assert resource.endswith(f":inference-profile/{profile}amazon.nova-2-lite-v1:0")


@pytest.mark.parametrize(
    ("service", "model"),
    [("nova-2-5-sonic", "amazon.nova-2-5-sonic"), ("nova-2-sonic", "amazon.nova-2-sonic-v1:0")],
)
def test_role_allows_the_chosen_speech_to_speech_model_only(service: str, model: str) -> None:
    stack = make_agent_stack(deployment(services={"speech_to_speech": service}))
    (statement,) = [s for s in resolve(statements_of(stack)) if s["Sid"] == "BedrockSonic"]
    assert statement["Resource"] == f"arn:aws:bedrock:us-east-1::foundation-model/{model}"


def test_only_agentcore_assumes_the_role_for_this_account() -> None:
    role = make_agent_stack(deployment()).resources["Role"]["Properties"]
    (statement,) = resolve(role["AssumeRolePolicyDocument"])["Statement"]
    assert statement["Principal"] == {"Service": "bedrock-agentcore.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:bedrock-agentcore:{HERE}:*"},
    }


# Newer than the linter's list, or different in AWS's own guide.
BEYOND_THE_LINTER = {
    ("bedrock:InvokeModelWithBidirectionalStream", "is not an action"),  # used by AWS's samples
    ("logs:DescribeLogGroups", "takes no such resource"),  # as in runtime-permissions
    (f"{GROUPS}*", "is a resource of none of the actions"),  # as in runtime-permissions
    ("logs:PutResourcePolicy", "takes no such resource"),  # as in runtime-permissions
    (
        RUNTIMES.replace("*", "support_line_dev-*"),
        "is a resource of none of the actions",
    ),  # as in runtime-permissions
    ("polly:SynthesizeSpeech", "takes narrower resources than *"),  # lexicons, which we do not use
}


def findings(statement: dict) -> set[tuple[str, str]]:
    """Return what is wrong with a statement, by the Service Authorization Reference."""
    found: set[tuple[str, str]] = set()
    resources, matched = lists(statement["Resource"]), set()
    for action in lists(statement["Action"]):
        rows = get_action_data(*action.split(":"))
        if not rows:
            found.add((action, "is not an action"))
            matched |= set(resources)
            continue
        (entries,) = rows.values()
        formats = {entry["resource_arn_format"] for entry in entries}
        mine = {
            r for r in resources if any(matches_format(r, arn_format) for arn_format in formats)
        }
        if not mine:
            narrower = resources == ["*"]
            found.add(
                (action, f"takes {'narrower resources than *' if narrower else 'no such resource'}")
            )
        matched |= mine
        keys = {key for entry in entries for key in entry["condition_keys"]}
        for key in [k for test in statement.get("Condition", {}).values() for k in test]:
            if key not in keys and key != "aws:RequestedRegion":
                found.add((action, f"takes no condition {key}"))
    stray = {r for r in resources if r not in matched and r != "*"}
    return found | {(resource, "is a resource of none of the actions") for resource in stray}


def matches_format(resource: str, arn_format: str) -> bool:
    pattern = re.sub(r"\\\$\\\{.*?\\\}", ".+", re.escape(arn_format))
    return re.fullmatch(pattern, resource) is not None


@pytest.mark.parametrize("of", EVERY, ids=label)
def test_linter_finds_nothing(of) -> None:
    both = statements_of(make_agent_stack(of, KEY="x")) + statements_of(
        make_lambda_stack(of, KEY="x")
    )
    found = [findings(s) for s in resolve(both)]
    assert {row for rows in found for row in rows} <= BEYOND_THE_LINTER


def all_statements(of) -> list:
    """Return what an identity needs to deploy agent and server, and to build in AWS."""
    make = (deployer_statements, server_deployer_statements, codebuild_statements)
    return [statement for each in make for statement in each(of, ACCOUNT)]


class TestDeployerPolicy:
    @pytest.mark.parametrize(
        "of",
        [*EVERY, deployment(), deployment(network="vpc", vpc=OWN_VPC), phone_deployment()],
        ids=label,
    )
    def test_linter_finds_nothing(self, of) -> None:
        statements = all_statements(of)
        if of.phones:
            statements += server_deployer_statements(of, ACCOUNT, on_ecs=True)
        found = [findings(statement.json) for statement in statements]
        # Without a stack's name, it is authorized on all stacks.
        all_stacks = ("cloudformation:DescribeStacks", "takes narrower resources than *")
        assert {row for rows in found for row in rows} == {all_stacks}

    def test_statements_fit_into_three_managed_policies(self) -> None:
        of = deployment("cascade", WEBRTC, network="vpc")
        statements = all_statements(of)
        parts = policy_documents(statements)
        assert len(parts) == 3
        assert [s for part in parts for s in part["Statement"]] == [s.json for s in statements]
        # IAM quotas: characters of a managed policy
        assert all(len(re.sub(r"\s", "", json.dumps(part))) <= 6144 for part in parts)

    def test_public_agent_needs_no_ec2_actions(self) -> None:
        actions = {a for s in deployer_statements(deployment(), ACCOUNT) for a in s.actions}
        assert not [action for action in actions if action.startswith("ec2:")]

    def test_own_vpc_needs_only_read_actions(self) -> None:
        of = deployment(network="vpc", vpc=OWN_VPC)
        statements = {s.sid: s for s in deployer_statements(of, ACCOUNT)}
        assert "Network" not in statements
        verbs = {action.split(":")[1] for action in statements["LookAtNetwork"].actions}
        assert {v for v in verbs if not v.startswith("Describe")} == {"CreateNetworkInterface"}

    def test_each_role_goes_only_to_its_service(self) -> None:
        on_ecs = server_deployer_statements(phone_deployment(), ACCOUNT, on_ecs=True)
        statements = [*all_statements(deployment(network="vpc")), *on_ecs]
        keys = {"iam:PassRole": "iam:PassedToService",
                "iam:CreateServiceLinkedRole": "iam:AWSServiceName"}  # fmt: skip
        given = [s for s in statements if keys.keys() & set(s.actions)]
        assert len(given) > 8
        for statement in given:
            ((test, condition),) = (statement.condition or {}).items()
            ((key, service),) = condition.items()
            (action,) = statement.actions
            assert (test, key) == ("StringEquals", keys[action])
            assert service.endswith(".amazonaws.com")
            if action == "iam:CreateServiceLinkedRole":
                (role,) = statement.resources
                assert f":role/aws-service-role/{service}/AWSServiceRoleFor" in role

    def test_role_can_be_passed_only_to_agentcore(self) -> None:
        statements = {s.sid: s for s in deployer_statements(deployment(), ACCOUNT)}
        passing = statements["RoleToAgentCore"]
        assert passing.resources == (
            f"arn:aws:iam::{ACCOUNT}:role/voicecore-support-line-dev-us-east-1",
        )
        assert passing.condition == {
            "StringEquals": {"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}
        }
        assert [s.sid for s in statements.values() if "iam:PassRole" in s.actions] == [
            "RoleToAgentCore"
        ]

    def test_images_go_to_the_given_repository_which_is_never_changed(self) -> None:
        given = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/team/voice"
        own, of_team = (
            next(s for s in deployer_statements(of, ACCOUNT) if s.sid == "Images")
            for of in (deployment(), deployment(repository=given))
        )
        assert of_team.resources == (f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/voice",)
        assert "ecr:PutImage" in of_team.actions
        assert {"ecr:CreateRepository", "ecr:BatchDeleteImage"} <= {*own.actions} - {
            *of_team.actions
        }
