import json
import re
from fnmatch import fnmatchcase

import pytest
from policy_sentry.querying.actions import get_action_data

from tests.unit.cloud.deployments import (
    ACCOUNT,
    AGENT,
    GIVEN,
    WEBRTC,
    WEBSOCKET,
    agent,
    bridge,
    by_telephone,
    deployment,
    filled,
    server,
    statements_of,
)
from voicecore.cloud.stacks.iam import (
    codebuild_statements,
    deployer_statements,
    policy_documents,
    server_deployer_statements,
)

HERE = f"us-east-1:{ACCOUNT}"
GROUPS = f"arn:aws:logs:{HERE}:log-group:"
RUNTIMES = f"{GROUPS}/aws/bedrock-agentcore/runtimes/*"
MODELS = "arn:aws:bedrock:*::foundation-model/*"

# What AWS's guide gives the role of a Pipecat agent at most (runtime-permissions; Kinesis Video
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
    # The session server's (runtime-permissions: what a caller needs; Lambda: lambda-intro-
    # execution-role, less the making of groups).
    "Sessions": ("bedrock-agentcore:InvokeAgentRuntime "
                 "bedrock-agentcore:InvokeAgentRuntimeWithWebSocketStream "
                 "bedrock-agentcore:StopRuntimeSession",
                 [AGENT, f"{AGENT}/runtime-endpoint/DEFAULT"]),
    "Logs": ("logs:CreateLogStream logs:PutLogEvents",
             [f"{GROUPS}/aws/lambda/voicecore-support-line-dev-server:log-stream:*"]),
}  # fmt: skip
# What AWS gives tasks at most (task_execution_IAM_role, less what is another project's).
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


def label(of) -> str:
    return "-".join([of.pipeline.name, *(t.name for t in of.transports), *of.services.values()])


def lists(value) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("of", EVERY, ids=label)
@pytest.mark.parametrize("secret", [{}, {"KEY": "x"}], ids=["", "secret"])
def test_no_statement_is_broader_than_aws_has_it(of, secret) -> None:
    both = statements_of(agent(of, **secret)) + statements_of(server(of, **secret))
    assert_within(both, AT_MOST)


def assert_within(statements, at_most) -> None:
    for statement in filled(statements):
        actions, resources = at_most[statement["Sid"]]
        assert set(statement["Action"]) <= set(actions.split())
        for resource in lists(statement["Resource"]):
            assert any(fnmatchcase(resource, pattern) for pattern in resources), resource
        assert statement["Effect"] == "Allow" and "NotAction" not in statement


class TestAServerThatCarriesCalls:
    STACK = bridge(by_telephone(), KEY="x")

    def test_it_may_use_its_agent_and_nothing_else(self) -> None:
        own = statements_of(self.STACK, "TaskRole")
        assert_within(own, {"Sessions": AT_MOST["Sessions"]})
        assert_within(statements_of(self.STACK, "StartRole"), AT_MOST_TO_START)

    def test_the_linter_finds_nothing(self) -> None:
        for role in ("TaskRole", "StartRole"):
            found = [findings(s) for s in filled(statements_of(self.STACK, role))]
            assert {row for rows in found for row in rows} == set()

    def test_only_tasks_of_this_account_take_its_roles(self) -> None:
        for role in ("TaskRole", "StartRole"):
            document = self.STACK.resources[role]["Properties"]["AssumeRolePolicyDocument"]
            (statement,) = filled(document)["Statement"]
            assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


@pytest.mark.parametrize(
    ("pipeline", "services", "transport", "sids"),
    [
        ("offline", {}, WEBSOCKET, []),
        ("nova-sonic", {}, WEBSOCKET, ["BedrockSonic"]),
        ("nova-sonic", {}, WEBRTC, ["BedrockSonic", "HangUp", "Turn"]),
        ("cascade", {}, WEBSOCKET, ["Transcribe", "BedrockText", "Polly"]),
        ("cascade", {"stt": "deepgram"}, WEBSOCKET, ["BedrockText", "Polly"]),
        (
            "cascade",
            {"stt": "deepgram", "tts": "cartesia"},
            WEBRTC,
            ["BedrockText", "HangUp", "Turn"],
        ),
    ],
)
def test_the_role_has_what_is_used_and_no_more(pipeline, services, transport, sids) -> None:
    of = deployment(pipeline, transport, services=services)
    assert [s["Sid"] for s in statements_of(agent(of))] == ALWAYS + sids
    assert [s["Sid"] for s in statements_of(agent(of, KEY="x"))] == [*ALWAYS, *sids, "Secrets"]


@pytest.mark.parametrize(
    ("region", "profile"),
    [
        ("us-east-1", "us."),
        ("eu-west-1", "eu."),
        ("ap-northeast-1", "jp."),
        ("sa-east-1", "global."),
    ],
)
def test_the_inference_profile_is_the_regions(region: str, profile: str) -> None:
    statements = {s["Sid"]: s for s in statements_of(agent(deployment("cascade", region=region)))}
    resource = statements["BedrockText"]["Resource"][1]["Fn::Sub"]
    assert resource.endswith(f":inference-profile/{profile}amazon.nova-2-lite-v1:0")


def test_only_agentcore_takes_the_role_and_only_for_this_account() -> None:
    role = agent(deployment()).resources["Role"]["Properties"]
    (statement,) = filled(role["AssumeRolePolicyDocument"])["Statement"]
    assert statement["Principal"] == {"Service": "bedrock-agentcore.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:bedrock-agentcore:{HERE}:*"},
    }


# What the linter must be told: newer than its list, or different in AWS's own guide.
BEYOND_THE_LINTER = {
    ("bedrock:InvokeModelWithBidirectionalStream", "is no action"),  # used by AWS's samples
    ("logs:DescribeLogGroups", "knows no such resource"),  # so in runtime-permissions
    (f"{GROUPS}*", "is a resource of none of the actions"),  # the same
    ("polly:SynthesizeSpeech", "knows narrower resources than *"),  # lexicons, and we have none
}


def findings(statement: dict) -> set[tuple[str, str]]:
    """What is wrong with a statement by the Service Authorization Reference."""
    found: set[tuple[str, str]] = set()
    resources, matched = lists(statement["Resource"]), set()
    for action in lists(statement["Action"]):
        rows = get_action_data(*action.split(":"))
        if not rows:
            found.add((action, "is no action"))
            matched |= set(resources)
            continue
        (entries,) = rows.values()
        formats = {entry["resource_arn_format"] for entry in entries}
        mine = {r for r in resources if any(is_of(r, arn_format) for arn_format in formats)}
        if not mine:
            narrower = resources == ["*"]
            found.add(
                (action, f"knows {'narrower resources than *' if narrower else 'no such resource'}")
            )
        matched |= mine
        keys = {key for entry in entries for key in entry["condition_keys"]}
        for key in [k for test in statement.get("Condition", {}).values() for k in test]:
            if key not in keys and key != "aws:RequestedRegion":
                found.add((action, f"knows no condition {key}"))
    stray = {r for r in resources if r not in matched and r != "*"}
    return found | {(resource, "is a resource of none of the actions") for resource in stray}


def is_of(resource: str, arn_format: str) -> bool:
    pattern = re.sub(r"\\\$\\\{.*?\\\}", ".+", re.escape(arn_format))
    return re.fullmatch(pattern, resource) is not None


@pytest.mark.parametrize("of", EVERY, ids=label)
def test_the_linter_finds_nothing(of) -> None:
    both = statements_of(agent(of, KEY="x")) + statements_of(server(of, KEY="x"))
    found = [findings(s) for s in filled(both)]
    assert {row for rows in found for row in rows} <= BEYOND_THE_LINTER


def all_statements(of) -> list:
    """What whoever deploys needs, with a server, and builds in AWS."""
    make = (deployer_statements, server_deployer_statements, codebuild_statements)
    return [statement for each in make for statement in each(of, ACCOUNT)]


class TestTheDeployersPolicy:
    @pytest.mark.parametrize(
        "of",
        [*EVERY, deployment(), deployment(network="vpc", vpc=GIVEN), by_telephone()],
        ids=label,
    )
    def test_the_linter_finds_nothing(self, of) -> None:
        statements = all_statements(of)
        if of.phones:
            statements += server_deployer_statements(of, ACCOUNT, on_ecs=True)
        found = [findings(statement.json) for statement in statements]
        assert {row for rows in found for row in rows} == set()

    def test_it_fits_into_two_managed_policies(self) -> None:
        of = deployment("cascade", WEBRTC, network="vpc")
        statements = all_statements(of)
        parts = policy_documents(statements)
        assert len(parts) == 2
        assert [s for part in parts for s in part["Statement"]] == [s.json for s in statements]
        # IAM quotas: characters of a managed policy
        assert all(len(re.sub(r"\s", "", json.dumps(part))) <= 6144 for part in parts)

    def test_a_public_agent_needs_nothing_of_ec2(self) -> None:
        actions = {a for s in deployer_statements(deployment(), ACCOUNT) for a in s.actions}
        assert not [action for action in actions if action.startswith("ec2:")]

    def test_a_given_network_is_only_looked_at(self) -> None:
        of = deployment(network="vpc", vpc=GIVEN)
        statements = {s.sid: s for s in deployer_statements(of, ACCOUNT)}
        assert "Network" not in statements
        verbs = {action.split(":")[1] for action in statements["LookAtNetwork"].actions}
        assert {v for v in verbs if not v.startswith("Describe")} == {"CreateNetworkInterface"}

    def test_roles_go_to_nobody_but_agentcore(self) -> None:
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
