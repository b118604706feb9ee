"""The stand-in of AWS, called by the real boto3 over HTTP."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.exceptions import ConnectionError as NoConnection

from tests.standins.aws import NONE, REAL, Aws, Durations, aws_standin
from tests.standins.aws.example_stacks import (
    PULL,
    TRUST,
    Json,
    Stacks,
    agent,
    att,
    images,
    manifest,
    network,
    outputs,
    ref,
    resource,
    sub,
    template,
)
from tests.standins.aws.http import operations
from tests.standins.aws.http.server import Server
from tests.standins.aws.services.ecr import Registry
from tests.standins.aws.services.zones import SUPPORTED

NO_CONNECTION = (NoConnection, ConnectionClosedError)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_standin() as running:
        yield running


@pytest.fixture
def stacks(aws: Aws) -> Stacks:
    return Stacks(aws.client("cloudformation"))


def refused(call: Any, *args: Any, **params: Any) -> tuple[str, str]:
    """Return the code and message of the error that a call raises."""
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def with_durations(**seconds: float) -> Durations:
    return dataclasses.replace(NONE, **seconds)


def role_of(aws: Aws, policy: Json = PULL, name: str = "agent") -> str:
    iam = aws.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return made["Role"]["Arn"]


def image_of(aws: Aws, size: int = 12, repository: str = "voicecore/line") -> str:
    ecr = aws.client("ecr")
    if repository not in [r["repositoryName"] for r in ecr.describe_repositories()["repositories"]]:
        ecr.create_repository(repositoryName=repository)
    made = ecr.put_image(
        repositoryName=repository, imageManifest=manifest(size), imageTag=f"t{size}"
    )
    uri = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    return f"{uri['repositoryUri']}@{made['image']['imageId']['imageDigest']}"


def runtime_request(aws: Aws, name: str = "line_dev", **more: Any) -> Json:
    return {
        "agentRuntimeName": name,
        "agentRuntimeArtifact": {"containerConfiguration": {"containerUri": image_of(aws)}},
        "networkConfiguration": {"networkMode": "PUBLIC"},
        **more,
    }


@contextmanager
def fake_registry(tags: dict[str, str]) -> Iterator[str]:
    """Run a registry where every repository has these tags, with their manifests."""

    def digest(text: str) -> str:
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def answer(request: operations.Request) -> operations.Response:
        if request.path.endswith("/tags/list"):
            return operations.Response(200, json.dumps({"tags": list(tags)}).encode())
        wanted = request.path.rpartition("/")[2]
        if request.method == "DELETE":
            for tag in [tag for tag, text in tags.items() if digest(text) == wanted]:
                del tags[tag]
            return operations.Response(202)
        if "/blobs/" in request.path:
            return operations.Response(200, b'{"architecture": "amd64"}')
        found = [text for tag, text in tags.items() if wanted in (tag, digest(text))]
        return operations.Response(200, found[0].encode())

    server = Server(answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()


def deploy_all(aws: Aws, stacks: Stacks) -> dict[str, str]:
    """Deploy three stacks, and return the parameters of the agent's."""
    uri = outputs(stacks.deploy("images", images()))["Uri"]
    net = outputs(stacks.deploy("network", network()))
    parameters = {"Image": image_of(aws), "Subnets": net["Subnets"], "Groups": net["Groups"]}
    assert parameters["Image"].startswith(f"{uri}@sha256:")
    made = stacks.deploy("agent", agent(), **parameters)
    assert made["StackStatus"] == "CREATE_COMPLETE", stacks.reasons("agent")
    return parameters


class TestCallers:
    def test_environment_is_all_that_a_program_needs(self, aws: Aws) -> None:
        program = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        argv = [sys.executable, "-c", program]
        said = subprocess.run(
            argv, env=aws.environment, capture_output=True, text=True, check=True
        ).stdout
        assert said.strip() == aws.caller.arn

    def test_rejects_wrong_keys_with_each_services_error(self, aws: Aws) -> None:
        thief = dataclasses.replace(aws.caller, secret_access_key="guessed")
        stranger = dataclasses.replace(aws.caller, access_key_id="ASIAAAAAAAAAAAAAAAAA")
        for service, operation, bad, unknown in (
            ("sts", "get_caller_identity", "SignatureDoesNotMatch", "InvalidClientTokenId"),
            ("ec2", "describe_vpcs", "AuthFailure", "AuthFailure"),
            (
                "ecr",
                "describe_repositories",
                "InvalidSignatureException",
                "UnrecognizedClientException",
            ),
        ):
            call = getattr(aws.client(service, caller=thief), operation)
            assert refused(call)[0] == bad
            call = getattr(aws.client(service, caller=stranger), operation)
            assert refused(call)[0] == unknown

    def test_expired_tokens_are_rejected_for_clients_only(self, aws: Aws) -> None:
        aws.faults.expired = True
        assert refused(aws.client("sts").get_caller_identity)[0] == "ExpiredToken"
        assert refused(aws.client("ecr").describe_repositories)[0] == "ExpiredTokenException"
        lasting = aws.new_caller(temporary=False)
        assert aws.client("sts", caller=lasting).get_caller_identity()["Account"]

    def test_wrong_clock_makes_signatures_invalid(self, aws: Aws) -> None:
        aws.faults.skew = 200
        answer = aws.client("sts").get_caller_identity()
        said = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        theirs = datetime.strptime(said, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        assert timedelta(seconds=190) < theirs - datetime.now(UTC) < timedelta(seconds=210)
        aws.faults.skew = -400
        code, message = refused(aws.client("sts").get_caller_identity)
        assert code == "SignatureDoesNotMatch" and "not yet current" in message

    def test_accounts_and_regions_are_separate(self, aws: Aws) -> None:
        other = aws.new_caller("210987654321")
        aws.client("ecr").create_repository(repositoryName="mine")
        assert not aws.client("ecr", "us-west-2").describe_repositories()["repositories"]
        assert not aws.client("ecr", caller=other).describe_repositories()["repositories"]
        identity = aws.client("sts", caller=other).get_caller_identity()
        assert identity["Account"] == "210987654321"

    def test_unknown_region_has_no_host(self, aws: Aws) -> None:
        with pytest.raises(NO_CONNECTION):
            aws.client("sts", "us-est-1").get_caller_identity()

    def test_services_exist_in_their_regions_only(self, aws: Aws) -> None:
        with pytest.raises(NO_CONNECTION):
            aws.client("bedrock-agentcore-control", "af-south-1").list_agent_runtimes()
        with pytest.raises(NO_CONNECTION):
            aws.client("kinesisvideo", "eu-north-1").list_signaling_channels()

    def test_assumed_role_has_working_credentials(self, aws: Aws) -> None:
        role = role_of(aws)
        answer = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="me")
        keys = answer["Credentials"]
        made = dataclasses.replace(
            aws.caller,
            access_key_id=keys["AccessKeyId"],
            secret_access_key=keys["SecretAccessKey"],
            session_token=keys["SessionToken"],
        )
        identity = aws.client("sts", caller=made).get_caller_identity()
        assert identity["Arn"].endswith(":assumed-role/agent/me")


class TestModels:
    def test_request_is_checked_beyond_botocore(self, aws: Aws) -> None:
        control = aws.client("bedrock-agentcore-control")
        request = runtime_request(aws, "line-dev", roleArn=role_of(aws))
        code, message = refused(control.create_agent_runtime, **request)
        assert code == "ValidationException"
        assert "'line-dev' at 'agentRuntimeName' failed to satisfy constraint" in message

    def test_answer_must_match_the_model(self) -> None:
        model = operations.service_model("kinesisvideo").operation_model("DescribeSignalingChannel")
        operation = operations.Operation(model, {})
        for wrong in ({"Info": {}}, {"ChannelInfo": {"ChannelStatus": "FINE"}}):
            with pytest.raises(AssertionError, match="the stand-in's answer to kinesisvideo:"):
                operations.serialize(operation, wrong, "id")


class TestStacks:
    def test_deploy_and_delete_leave_nothing(self, aws: Aws, stacks: Stacks) -> None:
        before = aws.inventory()
        deploy_all(aws, stacks)
        kinds = {item.kind for item in aws.inventory() - before}
        assert {"ec2:natgateway", "iam:role", "bedrock-agentcore:runtime-endpoint"} <= kinds
        assert {"ecr:image", "ec2:network-interface", "secretsmanager:secret"} <= kinds
        for name in ("agent", "network", "images"):
            assert stacks.delete(name)["StackStatus"] == "DELETE_COMPLETE"
        assert aws.inventory() == before

    def test_resources_are_created_in_dependency_order(self, stacks: Stacks) -> None:
        stacks.deploy("network", network())
        events = stacks.events("network")
        assert events[0] == ("network", "REVIEW_IN_PROGRESS")
        assert events[-1] == ("network", "CREATE_COMPLETE")
        started = {name: at for at, (name, _) in reversed(list(enumerate(events)))}
        done = {name: at for at, (name, st) in enumerate(events) if st == "CREATE_COMPLETE"}
        assert done["Attachment"] < started["Address"] < done["Address"] < started["Nat"]
        assert done["Nat"] < started["InnerRoute"]

    def test_change_set_without_changes_fails(self, aws: Aws, stacks: Stacks) -> None:
        parameters = deploy_all(aws, stacks)
        change_set = stacks.create_change_set("agent", agent(), "UPDATE", **parameters)
        assert (change_set["Status"], change_set["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
        assert "didn't contain changes" in change_set["StatusReason"]

    def test_new_image_changes_the_runtime_and_its_dependents(
        self, aws: Aws, stacks: Stacks
    ) -> None:
        parameters = deploy_all(aws, stacks)
        parameters["Image"] = image_of(aws, 13)
        change_set = stacks.create_change_set("agent", agent(), "UPDATE", **parameters)
        changes = {
            each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"]
            for each in change_set["Changes"]
        }
        assert list(changes) == ["Runtime", "Endpoint"]
        assert changes["Runtime"]["Replacement"] == "False"
        (detail,) = changes["Runtime"]["Details"]
        assert (detail["ChangeSource"], detail["CausingEntity"]) == ("ParameterReference", "Image")
        (detail,) = changes["Endpoint"]["Details"]
        assert (detail["Evaluation"], detail["Target"]["Name"]) == (
            "Dynamic",
            "AgentRuntimeVersion",
        )

        stacks.execute(change_set)
        assert outputs(stacks.wait("agent"))["Version"] == "2"
        updated = [who for who, what in stacks.events("agent") if what == "UPDATE_COMPLETE"]
        assert updated == ["Runtime", "Endpoint", "agent"]

    def test_immutable_property_replaces_the_resource(self, stacks: Stacks) -> None:
        def body(cidr: str) -> Json:
            return template(
                {
                    "Vpc": resource("EC2::VPC", CidrBlock=cidr),
                    "Group": resource("EC2::SecurityGroup", GroupDescription="g", VpcId=ref("Vpc")),
                }
            )

        stacks.deploy("net", body("10.0.0.0/16"))
        old = stacks.client.describe_stack_resource(StackName="net", LogicalResourceId="Vpc")
        change_set = stacks.create_change_set("net", body("10.1.0.0/16"), "UPDATE")
        told = [each["ResourceChange"]["Replacement"] for each in change_set["Changes"]]
        assert told == ["True", "True"]
        stacks.execute(change_set)
        assert stacks.wait("net")["StackStatus"] == "UPDATE_COMPLETE"
        new = stacks.client.describe_stack_resource(StackName="net", LogicalResourceId="Vpc")
        ids = [x["StackResourceDetail"]["PhysicalResourceId"] for x in (old, new)]
        assert ids[0] != ids[1]
        assert ("Vpc", "DELETE_COMPLETE") in stacks.events("net")

    def test_stack_tags_are_put_on_resources(self, aws: Aws, stacks: Stacks) -> None:
        deploy_all(aws, stacks)
        found = aws.client("resourcegroupstaggingapi").get_resources(
            TagFilters=[{"Key": "voicecore:project", "Values": ["line"]}]
        )["ResourceTagMappingList"]
        kinds = {each["ResourceARN"].split(":")[2] for each in found}
        assert kinds == {
            "bedrock-agentcore", "cloudformation", "ec2", "ecr", "iam", "kinesisvideo", "logs",
            "secretsmanager",
        }  # fmt: skip
        control = aws.client("bedrock-agentcore-control")
        arn = outputs(stacks.stack("agent"))["Arn"]
        assert control.list_tags_for_resource(resourceArn=arn)["tags"]["voicecore:project"]

    def test_failed_create_rolls_back(self, aws: Aws, stacks: Stacks) -> None:
        aws.set_quota("ec2", "L-0263D0A3", 0)
        before = aws.inventory()
        failed = stacks.deploy("network", network())
        assert failed["StackStatus"] == "ROLLBACK_COMPLETE"
        reasons = stacks.reasons("network")
        assert "The maximum number of addresses has been reached." in reasons
        assert "The following resource(s) failed to create: [Address" in reasons
        assert {item.kind for item in aws.inventory() - before} == {"cloudformation:stack"}
        code, message = refused(stacks.create_change_set, "network", network(), "UPDATE")
        assert code == "ValidationError"
        assert "is in ROLLBACK_COMPLETE state and can not be updated" in message
        stacks.delete("network")

    def test_failed_update_rolls_back(self, aws: Aws, stacks: Stacks) -> None:
        parameters = deploy_all(aws, stacks)
        good = parameters["Image"]
        parameters["Image"] = good[:-64] + "9" * 64
        failed = stacks.deploy("agent", agent({"MOOD": "bad"}), "UPDATE", **parameters)
        assert failed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert "image identifier does not exist" in stacks.reasons("agent")
        change_set = stacks.create_change_set(
            "agent", agent(), "UPDATE", **(parameters | {"Image": good})
        )
        assert change_set["Status"] == "FAILED"  # there is nothing to change

    def test_failed_rollback_can_be_continued(self, aws: Aws, stacks: Stacks) -> None:
        parameters = deploy_all(aws, stacks) | {"Image": image_of(aws, 13)}
        aws.faults.fail_resource("Endpoint", "out of luck", during="UPDATE")
        aws.faults.fail_runtime("out of order", during="UPDATE", times=None)
        body = agent()
        body["Resources"]["Runtime"]["Properties"]["Description"] = "new"
        stuck = stacks.deploy("agent", body, "UPDATE", **parameters)
        assert stuck["StackStatus"] == "UPDATE_ROLLBACK_FAILED"
        aws.faults.clear()
        stacks.client.continue_update_rollback(StackName="agent")
        assert stacks.wait("agent")["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"

    def test_resources_in_use_are_not_deleted_until_they_are_free(self) -> None:
        with aws_standin(durations=with_durations(interfaces_linger=3600)) as aws:
            stacks, before = Stacks(aws.client("cloudformation")), aws.inventory()
            deploy_all(aws, stacks)
            stacks.delete("agent")
            stuck = stacks.delete("network")
            assert stuck["StackStatus"] == "DELETE_FAILED"
            assert "has dependencies and cannot be deleted" in stacks.reasons("network")
            (eni,) = aws.client("ec2").describe_network_interfaces(
                Filters=[{"Name": "interface-type", "Values": ["agentic_ai"]}]
            )["NetworkInterfaces"]
            assert eni["Attachment"]["AttachmentId"].startswith("ela-attach-")
            assert {"Key": "AmazonBedrockAgentCoreManaged", "Value": "true"} in eni["TagSet"]
            aws.clock.advance(3600)
            assert stacks.delete("network")["StackStatus"] == "DELETE_COMPLETE"
            stacks.delete("images")
            assert aws.inventory() == before

    def test_resources_can_be_retained_after_a_failed_delete(
        self, aws: Aws, stacks: Stacks
    ) -> None:
        stacks.deploy("images", images())
        aws.faults.fail_resource("Repository", "no", during="DELETE")
        assert stacks.delete("images")["StackStatus"] == "DELETE_FAILED"
        gone = stacks.delete("images", RetainResources=["Repository"])
        assert gone["StackStatus"] == "DELETE_COMPLETE"
        assert aws.client("ecr").describe_repositories()["repositories"]

    def test_stack_in_progress_rejects_changes(self, aws: Aws, stacks: Stacks) -> None:
        with aws.faults.hold("Repository"):
            stacks.execute(stacks.create_change_set("images", images()))
            assert stacks.stack("images")["StackStatus"] == "CREATE_IN_PROGRESS"
            _, message = refused(stacks.create_change_set, "images", images(), "UPDATE")
            assert "is in CREATE_IN_PROGRESS state and can not be updated" in message
        assert stacks.wait("images")["StackStatus"] == "CREATE_COMPLETE"

    def test_stack_can_be_deleted_while_it_is_created(self, aws: Aws, stacks: Stacks) -> None:
        before = aws.inventory()
        with aws.faults.hold("Nat"):
            stacks.execute(stacks.create_change_set("network", network()))
            id = stacks.stack("network")["StackId"]
            stacks.client.delete_stack(StackName="network")
        assert stacks.wait(id)["StackStatus"] == "DELETE_COMPLETE"
        assert aws.inventory() == before

    def test_unexecuted_change_set_leaves_a_stack_in_review(self, aws: Aws, stacks: Stacks) -> None:
        stacks.create_change_set("images", images())
        assert stacks.stack("images")["StackStatus"] == "REVIEW_IN_PROGRESS"
        assert not aws.client("ecr").describe_repositories()["repositories"]
        again = stacks.create_change_set("images", images())
        stacks.execute(again)
        assert stacks.wait("images")["StackStatus"] == "CREATE_COMPLETE"
        code, _ = refused(stacks.create_change_set, "images", images())
        assert code == "ValidationError"  # it exists

    def test_missing_stacks_and_change_sets(self, stacks: Stacks) -> None:
        client = stacks.client
        assert refused(stacks.stack, "none") == (
            "ValidationError",
            "Stack with id none does not exist",
        )
        assert refused(client.describe_stack_events, StackName="none")[0] == "ValidationError"
        client.delete_stack(StackName="none")  # no error, as in AWS
        stacks.create_change_set("images", images())
        code, _ = refused(client.describe_change_set, StackName="images", ChangeSetName="no")
        assert code == "ChangeSetNotFound"

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"Resources": {}}, "At least one Resources member"),
            (
                template({"A": resource("EC2::Moon")}),
                "Unrecognized resource types: [AWS::EC2::Moon]",
            ),
            (
                template({"A": resource("EC2::EIP")}, Out=ref("B")),
                "dependencies [B] in the Outputs",
            ),
            (template({"A": resource("EC2::EIP", Domain=ref("A"))}), "Circular dependency"),
            (template({"A": resource("EC2::EIP")}, {"P": "String"}), "[P] must have values"),
        ],
    )
    def test_rejects_invalid_template(self, stacks: Stacks, body: Json, said: str) -> None:
        code, message = refused(stacks.create_change_set, "bad", body)
        assert code == "ValidationError" and said in message

    def test_properties_are_checked_against_schemas(self, stacks: Stacks) -> None:
        body = template({"A": resource("ECR::Repository", RepositoryNmae="x")})
        change_set = stacks.create_change_set("bad", body)
        assert "extraneous key [RepositoryNmae] is not permitted" in change_set["StatusReason"]

    def test_iam_resources_need_a_capability(self, stacks: Stacks) -> None:
        body = template({"R": resource("IAM::Role", RoleName="r", AssumeRolePolicyDocument=TRUST)})
        code, message = refused(
            stacks.client.create_change_set,
            StackName="s",
            ChangeSetName="c",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps(body),
        )
        assert code == "InsufficientCapabilitiesException"
        assert message == "Requires capabilities : [CAPABILITY_NAMED_IAM]"

    def test_change_by_hand_is_drift(self, aws: Aws, stacks: Stacks) -> None:
        stacks.deploy("net", network())
        found = stacks.client.describe_stack_resource(StackName="net", LogicalResourceId="S3")
        id = found["StackResourceDetail"]["PhysicalResourceId"]
        aws.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[id])
        detection = stacks.client.detect_stack_drift(StackName="net")["StackDriftDetectionId"]
        status = stacks.client.describe_stack_drift_detection_status(
            StackDriftDetectionId=detection
        )
        assert (status["StackDriftStatus"], status["DriftedStackResourceCount"]) == ("DRIFTED", 1)
        (drifted,) = stacks.client.describe_stack_resource_drifts(
            StackName="net", StackResourceDriftStatusFilters=["DELETED", "MODIFIED"]
        )["StackResourceDrifts"]
        assert drifted["LogicalResourceId"] == "S3"

    def test_intrinsic_functions(self, stacks: Stacks) -> None:
        body = template(
            {"Group": resource("Logs::LogGroup", LogGroupName=sub("/a/${AWS::StackName}/${P}"))},
            {"P": "String", "L": "CommaDelimitedList"},
            Joined={"Fn::Join": ["-", ref("L")]},
            Second={"Fn::Select": ["1", ref("L")]},
            Parts={"Fn::Select": [0, {"Fn::Split": ["/", "x/y"]}]},
            Arn=att("Group", "Arn"),
            Chosen={"Fn::If": ["Yes", "yes", ref("AWS::NoValue")]},
            Literal=sub("${!Kept}"),
        )
        body["Conditions"] = {"Yes": {"Fn::Not": [{"Fn::Equals": [ref("P"), "no"]}]}}
        made = outputs(stacks.deploy("s", body, P="p", L="a,b"))
        assert made["Joined"] == "a-b" and made["Second"] == "b" and made["Parts"] == "x"
        assert ":log-group:/a/s/p" in made["Arn"]
        assert made["Chosen"] == "yes" and made["Literal"] == "${Kept}"

    def test_event_pages_are_stable(self, stacks: Stacks) -> None:
        groups = {f"G{n}": resource("Logs::LogGroup") for n in range(60)}
        stacks.deploy("many", template(groups))
        events = stacks.events("many")
        assert len(events) == len(set(events)) + 60 > 100  # two CREATE_IN_PROGRESS of each


class TestTime:
    def test_states_change_with_time(self) -> None:
        with aws_standin(durations=REAL) as aws:
            stacks = Stacks(aws.client("cloudformation"))
            change_set = stacks.create_change_set("net", network())
            assert change_set["Status"] == "CREATE_IN_PROGRESS"
            aws.clock.advance(REAL.change_set)
            aws.client("cloudformation").execute_change_set(ChangeSetName=change_set["ChangeSetId"])
            ec2, states = aws.client("ec2"), set()
            while stacks.stack("net")["StackStatus"] == "CREATE_IN_PROGRESS":
                states |= {g["State"] for g in ec2.describe_nat_gateways()["NatGateways"]}
                aws.clock.advance(2)
            assert states >= {"pending"}
            assert stacks.stack("net")["StackStatus"] == "CREATE_COMPLETE"
            events = aws.client("cloudformation").describe_stack_events(StackName="net")
            at = {
                (e["LogicalResourceId"], e["ResourceStatus"]): e["Timestamp"]
                for e in events["StackEvents"]
            }
            took = at["Nat", "CREATE_COMPLETE"] - at["Nat", "CREATE_IN_PROGRESS"]
            assert took >= timedelta(seconds=REAL.nat_gateway)

    def test_new_role_cannot_be_assumed_yet(self) -> None:
        with aws_standin(durations=with_durations(role_propagation=10)) as aws:
            control = aws.client("bedrock-agentcore-control")
            request = runtime_request(aws, roleArn=role_of(aws))
            code, message = refused(control.create_agent_runtime, **request)
            assert code == "ValidationException" and "Role validation failed" in message
            aws.clock.advance(10)
            control.create_agent_runtime(**request)


class TestRuntimes:
    def test_runtime_has_agentcores_names_and_states(self) -> None:
        with aws_standin(durations=with_durations(runtime=15)) as aws:
            control = aws.client("bedrock-agentcore-control")
            request = runtime_request(aws, roleArn=role_of(aws))
            made = control.create_agent_runtime(**request)
            id = made["agentRuntimeId"]
            assert id.startswith("line_dev-") and len(id) == len("line_dev-") + 10
            assert made["agentRuntimeArn"].endswith(f":runtime/{id}")
            assert refused(control.create_agent_runtime, **request)[0] == "ConflictException"
            del request["agentRuntimeName"]
            code, message = refused(control.update_agent_runtime, agentRuntimeId=id, **request)
            assert code == "ConflictException" and "CREATING" in message
            aws.clock.advance(15)
            found = control.get_agent_runtime(agentRuntimeId=id)
            assert found["status"] == "READY"
            assert found["lifecycleConfiguration"] == {
                "idleRuntimeSessionTimeout": 900,
                "maxLifetime": 28800,
            }
            (endpoint,) = control.list_agent_runtime_endpoints(agentRuntimeId=id)[
                "runtimeEndpoints"
            ]
            assert (endpoint["name"], endpoint["liveVersion"]) == ("DEFAULT", "1")
            control.delete_agent_runtime(agentRuntimeId=id)
            gone = refused(control.get_agent_runtime, agentRuntimeId=id)
            assert gone[0] == "ResourceNotFoundException"

    def test_update_replaces_everything_and_adds_a_version(self, aws: Aws) -> None:
        control, role = aws.client("bedrock-agentcore-control"), role_of(aws)
        request = runtime_request(aws, roleArn=role, environmentVariables={"A": "1"})
        id = control.create_agent_runtime(**request)["agentRuntimeId"]
        control.create_agent_runtime_endpoint(agentRuntimeId=id, name="live")
        artifact = {"containerConfiguration": {"containerUri": image_of(aws, 13)}}
        control.update_agent_runtime(agentRuntimeId=id, agentRuntimeArtifact=artifact, roleArn=role)
        now = control.get_agent_runtime(agentRuntimeId=id)
        assert now["agentRuntimeVersion"] == "2" and "environmentVariables" not in now
        before = control.get_agent_runtime(agentRuntimeId=id, agentRuntimeVersion="1")
        assert before["environmentVariables"] == {"A": "1"}
        live = {
            e["name"]: e["liveVersion"]
            for e in control.list_agent_runtime_endpoints(agentRuntimeId=id)["runtimeEndpoints"]
        }
        assert live == {"DEFAULT": "2", "live": "1"}
        control.update_agent_runtime_endpoint(
            agentRuntimeId=id, endpointName="live", agentRuntimeVersion="2"
        )
        moved = control.get_agent_runtime_endpoint(agentRuntimeId=id, endpointName="live")
        assert moved["liveVersion"] == "2"

    def test_update_sets_mmdsv2(self, aws: Aws) -> None:
        aws.old_metadata_service()
        control, role = aws.client("bedrock-agentcore-control"), role_of(aws)
        request = runtime_request(aws, roleArn=role)
        id = control.create_agent_runtime(**request)["agentRuntimeId"]
        found = control.get_agent_runtime(agentRuntimeId=id)
        assert found["metadataConfiguration"] == {"requireMMDSV2": False}
        del request["agentRuntimeName"]
        control.update_agent_runtime(
            agentRuntimeId=id, metadataConfiguration={"requireMMDSV2": True}, **request
        )
        found = control.get_agent_runtime(agentRuntimeId=id)
        assert found["metadataConfiguration"] == {"requireMMDSV2": True}

    def test_sessions_of_a_version_without_mmdsv2_fail(self, aws: Aws) -> None:
        control, role = aws.client("bedrock-agentcore-control"), role_of(aws)
        request = runtime_request(aws, roleArn=role)
        made = control.create_agent_runtime(**request)
        id, arn = made["agentRuntimeId"], made["agentRuntimeArn"]
        control.create_agent_runtime_endpoint(agentRuntimeId=id, name="live")
        del request["agentRuntimeName"]
        control.update_agent_runtime(agentRuntimeId=id, **request)

        def invoke(endpoint: str) -> Any:
            data = aws.client("bedrock-agentcore")
            return data.invoke_agent_runtime(
                agentRuntimeArn=arn, qualifier=endpoint, payload=b"{}", runtimeSessionId="s" * 33
            )

        assert json.loads(invoke("live")["response"].read())["version"] == "1"
        code, said = refused(invoke, "DEFAULT")
        assert code == "ValidationException" and "not MMDSv2-enabled" in said

    def test_version_of_platform_v2_is_ready_after_its_snapshot(self) -> None:
        with aws_standin(durations=with_durations(runtime=15, snapshot=200)) as aws:
            control, role = aws.client("bedrock-agentcore-control"), role_of(aws)
            request = runtime_request(aws, roleArn=role)
            made = control.create_agent_runtime(**request, platformVersion="V2")
            assert "platformVersion" not in made
            id = made["agentRuntimeId"]
            aws.clock.advance(15)
            assert control.get_agent_runtime(agentRuntimeId=id)["status"] == "CREATING"
            assert refused(control.delete_agent_runtime, agentRuntimeId=id)[0] == (
                "ConflictException"
            )
            aws.clock.advance(200)
            found = control.get_agent_runtime(agentRuntimeId=id)
            assert (found["status"], found["platformVersion"]) == ("READY", "V2")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"networkConfiguration": {"networkMode": "VPC"}}, "NetworkModeConfig is required"),
            ({"environmentVariables": {"A": "x" * 4096}}, "maximum of 4 KB"),
            ({"environmentVariables": {"A": "x" * 2560}, "platformVersion": "V2"}, "2.5 KB"),
            ({"platformVersion": "V3"}, "Supported values: V1, V2"),
            ({"roleArn": "arn:aws:iam::123456789012:role/none"}, "Role validation failed"),
            (
                {"lifecycleConfiguration": {"idleRuntimeSessionTimeout": 900, "maxLifetime": 800}},
                "must be less than or equal to maxLifetime",
            ),
            (
                {
                    "agentRuntimeArtifact": {
                        "containerConfiguration": {
                            "containerUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/none:1"
                        }
                    }
                },
                "does not exist",
            ),
        ],
    )
    def test_rejects_invalid_runtime(self, aws: Aws, change: Json, said: str) -> None:
        request = runtime_request(aws, roleArn=role_of(aws)) | change
        control = aws.client("bedrock-agentcore-control")
        code, message = refused(control.create_agent_runtime, **request)
        assert code == "ValidationException" and said in message

    def test_rejects_image_over_two_gigabytes(self, aws: Aws) -> None:
        request = runtime_request(aws, roleArn=role_of(aws))
        large = {"containerConfiguration": {"containerUri": image_of(aws, 2 * 10**9)}}
        control = aws.client("bedrock-agentcore-control")
        _, message = refused(
            control.create_agent_runtime, **(request | {"agentRuntimeArtifact": large})
        )
        assert "exceeds the maximum size of 2 GB" in message

    def test_rejects_role_that_cannot_pull(self, aws: Aws) -> None:
        nothing = {**PULL, "Statement": [{**PULL["Statement"][0], "Action": "ecr:BatchGetImage"}]}
        request = runtime_request(aws, roleArn=role_of(aws, nothing))
        control = aws.client("bedrock-agentcore-control")
        assert (
            "Access denied while validating ECR URI"
            in refused(control.create_agent_runtime, **request)[1]
        )

    def test_subnet_in_unsupported_zone_fails_the_runtime(self, aws: Aws, stacks: Stacks) -> None:
        # us-east-1a is use1-az6 here
        net = outputs(stacks.deploy("network", network("us-east-1a")))
        config = {"subnets": [net["Subnets"]], "securityGroups": [net["Groups"]]}
        request = runtime_request(aws, roleArn=role_of(aws)) | {
            "networkConfiguration": {"networkMode": "VPC", "networkModeConfig": config}
        }
        control = aws.client("bedrock-agentcore-control")
        id = control.create_agent_runtime(**request)["agentRuntimeId"]
        found = control.get_agent_runtime(agentRuntimeId=id)
        assert found["status"] == "CREATE_FAILED"
        assert "use1-az6" in found["failureReason"]
        assert "use1-az1, use1-az2, use1-az4" in found["failureReason"]

    def test_first_runtime_creates_the_service_linked_roles(self, aws: Aws, stacks: Stacks) -> None:
        request = runtime_request(aws, roleArn=role_of(aws))
        control, iam = aws.client("bedrock-agentcore-control"), aws.client("iam")
        aws.faults.deny("iam:CreateServiceLinkedRole")
        code, message = refused(control.create_agent_runtime, **request)
        assert code == "AccessDeniedException" and "iam:CreateServiceLinkedRole" in message
        aws.faults.allow("iam:CreateServiceLinkedRole")
        id = control.create_agent_runtime(**request)["agentRuntimeId"]
        iam.get_role(RoleName="AWSServiceRoleForBedrockAgentCoreRuntimeIdentity")

        aws.faults.deny("iam:CreateServiceLinkedRole")
        same = {k: v for k, v in request.items() if k != "agentRuntimeName"}
        control.update_agent_runtime(agentRuntimeId=id, **same)
        net = outputs(stacks.deploy("network", network()))
        config = {"subnets": [net["Subnets"]], "securityGroups": [net["Groups"]]}
        in_vpc = same | {"networkConfiguration": {"networkMode": "VPC",
                                                  "networkModeConfig": config}}  # fmt: skip
        moved = {"agentRuntimeId": id, **in_vpc}
        assert refused(control.update_agent_runtime, **moved)[0] == "AccessDeniedException"
        aws.faults.allow("iam:CreateServiceLinkedRole")
        control.update_agent_runtime(**moved)
        iam.get_role(RoleName="AWSServiceRoleForBedrockAgentCoreNetwork")

    def test_repeated_client_token_gets_the_same_answer(self, aws: Aws) -> None:
        control = aws.client("bedrock-agentcore-control")
        request = runtime_request(aws, roleArn=role_of(aws), clientToken="t" * 33)
        first = control.create_agent_runtime(**request)["agentRuntimeId"]
        assert control.create_agent_runtime(**request)["agentRuntimeId"] == first

    @pytest.mark.parametrize("region", sorted(SUPPORTED))
    def test_region_has_the_zones_that_agentcore_supports(self, aws: Aws, region: str) -> None:
        zones = aws.client("ec2", region).describe_availability_zones()["AvailabilityZones"]
        assert {zone["ZoneId"] for zone in zones} >= set(SUPPORTED[region])


class TestTurn:
    def test_active_channel_issues_credentials(self) -> None:
        with aws_standin(durations=with_durations(channel=2)) as aws:
            video = aws.client("kinesisvideo")
            arn = video.create_signaling_channel(ChannelName="line-1")["ChannelARN"]
            assert ":channel/line-1/" in arn
            config = {"Protocols": ["HTTPS"], "Role": "MASTER"}
            ask = {"ChannelARN": arn, "SingleMasterChannelEndpointConfiguration": config}
            assert (
                refused(video.get_signaling_channel_endpoint, **ask)[0] == "ResourceInUseException"
            )
            aws.clock.advance(2)
            (found,) = video.get_signaling_channel_endpoint(**ask)["ResourceEndpointList"]
            signaling = aws.client(
                "kinesis-video-signaling", endpoint_url=found["ResourceEndpoint"]
            )
            servers = signaling.get_ice_server_config(ChannelARN=arn)["IceServerList"]
            assert len(servers) == 2 and servers[0]["Ttl"] == 300
            assert [uri.split(":")[0] for uri in servers[0]["Uris"]] == ["turn", "turns", "turns"]

    def test_channel_is_limited_to_five_requests_per_second(self, aws: Aws) -> None:
        arn = aws.client("kinesisvideo").create_signaling_channel(ChannelName="c")["ChannelARN"]
        signaling = aws.client("kinesis-video-signaling")
        with pytest.raises(ClientError) as caught:
            for _ in range(40):
                signaling.get_ice_server_config(ChannelARN=arn)
        assert caught.value.response["Error"]["Code"] == "ClientLimitExceededException"
        aws.clock.advance(1)
        signaling.get_ice_server_config(ChannelARN=arn)


class TestEcr:
    def test_digest_is_that_of_the_manifest(self, aws: Aws) -> None:
        image_of(aws, 12)
        image_of(aws, 13)
        found = aws.client("ecr").describe_images(repositoryName="voicecore/line")["imageDetails"]
        assert len({image["imageDigest"] for image in found}) == 2
        assert sorted(image["imageSizeInBytes"] for image in found) == [14, 15]

    def test_token_is_valid_for_twelve_hours(self, aws: Aws) -> None:
        (data,) = aws.client("ecr").get_authorization_token()["authorizationData"]
        left = data["expiresAt"] - datetime.now(UTC)
        assert timedelta(hours=11) < left < timedelta(hours=13)

    def test_pushed_image_is_in_ecr(self) -> None:
        told: list[set[str]] = []
        with fake_registry({"new": manifest(99)}) as url:
            registry = Registry(url, lambda: "password", told.append)
            with aws_standin(registry=registry) as aws:
                ecr, before = aws.client("ecr"), aws.inventory()
                ecr.create_repository(repositoryName="voicecore/line")
                assert told == [{"voicecore/line"}]
                (image,) = ecr.describe_images(repositoryName="voicecore/line")["imageDetails"]
                assert (image["imageTags"], image["imageSizeInBytes"]) == (["new"], 101)
                assert "ecr:image" in {item.kind for item in aws.inventory()}
                (data,) = ecr.get_authorization_token()["authorizationData"]
                assert base64.b64decode(data["authorizationToken"]) == b"AWS:password"
                ecr.delete_repository(repositoryName="voicecore/line", force=True)
                assert aws.inventory() == before

    def test_amd64_image_fails_the_runtime(self) -> None:
        with (
            fake_registry({"new": manifest(99)}) as url,
            aws_standin(registry=Registry(url)) as aws,
        ):
            control = aws.client("bedrock-agentcore-control")
            aws.client("ecr").create_repository(repositoryName="voicecore/line")
            uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/line:new"
            id = control.create_agent_runtime(
                agentRuntimeName="line_dev",
                agentRuntimeArtifact={"containerConfiguration": {"containerUri": uri}},
                roleArn=role_of(aws),
                networkConfiguration={"networkMode": "PUBLIC"},
            )["agentRuntimeId"]
            found = control.get_agent_runtime(agentRuntimeId=id)
            assert found["status"] == "CREATE_FAILED"
            assert "Architecture incompatible" in found["failureReason"]


class TestLogs:
    def test_filters_lines_by_stream_time_and_pattern(self, aws: Aws) -> None:
        logs, session = aws.client("logs"), "s" * 33
        yesterday = aws.clock.now() - timedelta(days=1)
        aws.agent_says("line-abc", "late", session=session, at=yesterday)
        group = aws.agent_says(
            "line-abc", '{"level": "ERROR", "turn": 3}', "plain words", session=session
        )
        aws.agent_says("line-abc", "old container")

        def found(**ask: Any) -> list[str]:
            events = logs.filter_log_events(logGroupName=group, **ask)["events"]
            return [event["message"] for event in events]

        assert len(found()) == 4
        prefix = f"{aws.clock.now():%Y/%m/%d}/[runtime-logs-{session}]"
        assert len(found(logStreamNamePrefix=prefix)) == 2
        assert found(endTime=int(yesterday.timestamp() * 1000) + 1) == ["late"]
        assert found(filterPattern='{ $.level = "ERROR" && $.turn >= 3 }')[0].endswith("3}")
        assert found(filterPattern="words -old") == ["plain words"]
        assert found(filterPattern="?late ?old") == ["late", "old container"]
        code, _ = refused(logs.filter_log_events, logGroupName="none")
        assert code == "ResourceNotFoundException"

    def test_empty_pages_have_a_next_token(self, aws: Aws) -> None:
        group = aws.agent_says("line-abc", "here")
        aws.faults.empty_pages(2)
        pages = aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        assert [len(page["events"]) for page in pages] == [0, 0, 1]

    def test_live_tail_sends_new_lines(self, aws: Aws) -> None:
        group = aws.agent_says("line-abc", "before")
        logs = aws.client("logs", config=Config(inject_host_prefix=False))
        arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
        stream = logs.start_live_tail(logGroupIdentifiers=[arn])["responseStream"]
        events = iter(stream)
        assert "sessionStart" in next(events)
        aws.agent_says("line-abc", "now")
        told = [line["message"] for line in next(events)["sessionUpdate"]["sessionResults"]]
        assert told == ["now"]
        stream.close()


class TestQuotasAndBedrock:
    def test_quotas_are_returned_and_enforced(self, aws: Aws) -> None:
        quotas = aws.client("service-quotas")
        ask = {"ServiceCode": "ec2", "QuotaCode": "L-0263D0A3"}
        assert quotas.get_service_quota(**ask)["Quota"]["Value"] == 5
        aws.set_quota("ec2", "L-0263D0A3", 1)
        assert quotas.get_service_quota(**ask)["Quota"]["Value"] == 1
        ec2 = aws.client("ec2")
        ec2.allocate_address(Domain="vpc")
        assert refused(ec2.allocate_address, Domain="vpc")[0] == "AddressLimitExceeded"

    def test_models_are_available_by_region(self, aws: Aws) -> None:
        def available(region: str) -> tuple[str, str]:
            answer = aws.client("bedrock", region).get_foundation_model_availability(
                modelId="amazon.nova-2-sonic-v1:0"
            )
            return answer["regionAvailability"], answer["authorizationStatus"]

        assert available("us-east-1") == ("AVAILABLE", "AUTHORIZED")
        assert available("eu-west-1") == ("NOT_AVAILABLE", "AUTHORIZED")
        aws.faults.deny_model("amazon.nova-2-sonic-v1:0")
        assert available("us-east-1") == ("AVAILABLE", "NOT_AUTHORIZED")


class TestFaults:
    def test_denied_action_is_denied_to_caller_and_cloudformation(
        self, aws: Aws, stacks: Stacks
    ) -> None:
        aws.faults.deny("ecr:CreateRepository")
        code, message = refused(aws.client("ecr").create_repository, repositoryName="line")
        assert code == "AccessDeniedException"
        assert "is not authorized to perform: ecr:CreateRepository" in message
        assert stacks.deploy("images", images())["StackStatus"] == "ROLLBACK_COMPLETE"
        assert "HandlerErrorCode: AccessDenied" in stacks.reasons("images")
        iam = aws.client("iam")
        (result,) = iam.simulate_principal_policy(
            PolicySourceArn=aws.caller.arn, ActionNames=["ecr:CreateRepository"]
        )["EvaluationResults"]
        assert result["EvalDecision"] == "implicitDeny"

    @pytest.mark.parametrize(
        ("service", "operation", "code"),
        [
            ("cloudformation", "describe_stacks", "Throttling"),
            ("ec2", "describe_vpcs", "RequestLimitExceeded"),
            ("ecr", "describe_repositories", "ThrottlingException"),
            ("bedrock-agentcore-control", "list_agent_runtimes", "ThrottlingException"),
        ],
    )
    def test_throttling_with_each_services_error(
        self, aws: Aws, service: str, operation: str, code: str
    ) -> None:
        aws.faults.throttle(times=1)
        call = getattr(aws.client(service), operation)
        assert refused(call) == (code, "Rate exceeded")
        call()

    def test_connection_is_reset_before_or_after_the_work(self, aws: Aws) -> None:
        ecr = aws.client("ecr")
        aws.faults.reset("ecr:CreateRepository")
        with pytest.raises(NO_CONNECTION):
            ecr.create_repository(repositoryName="line")
        assert not ecr.describe_repositories()["repositories"]
        aws.faults.reset("ecr:CreateRepository", after=True)
        with pytest.raises(NO_CONNECTION):
            ecr.create_repository(repositoryName="line")
        assert ecr.describe_repositories()["repositories"]

    def test_network_goes_down_and_comes_back(self, aws: Aws) -> None:
        aws.faults.down = True
        with pytest.raises(NO_CONNECTION):
            aws.client("sts").get_caller_identity()
        aws.faults.down = False
        aws.client("sts").get_caller_identity()

    def test_client_is_killed_after_its_nth_call(self, aws: Aws) -> None:
        program = (
            "import boto3\nfor n in range(9):\n"
            " boto3.client('ecr').create_repository(repositoryName=f'r{n}')\n"
        )
        process = subprocess.Popen([sys.executable, "-c", program], env=aws.environment)
        aws.faults.after_calls(3, process.kill)
        process.wait(60)
        assert len(aws.client("ecr").describe_repositories()["repositories"]) == 3

    def test_stack_continues_without_its_client(self, aws: Aws, stacks: Stacks) -> None:
        aws.faults.after_calls(3, lambda: None)  # the answer to ExecuteChangeSet is lost
        with pytest.raises(NO_CONNECTION):
            stacks.deploy("images", images())
        assert stacks.wait("images")["StackStatus"] == "CREATE_COMPLETE"


class TestJournal:
    def test_journal_names_caller_and_action(self, aws: Aws, stacks: Stacks) -> None:
        stacks.deploy("images", images())
        assert [e.action for e in aws.journal.changes] == [
            "cloudformation:CreateChangeSet",
            "cloudformation:ExecuteChangeSet",
        ]
        assert aws.journal.find("ecr:CreateRepository", by="cloudformation")
        assert aws.journal.counts()["cloudformation:DescribeChangeSet"] == 1
        refused(stacks.stack, "none")
        assert next(reversed(list(aws.journal))).answer == "ValidationError"

    def test_secrets_are_not_printed(self, aws: Aws) -> None:
        aws.client("secretsmanager").create_secret(Name="s", SecretString="hush")
        assert "hush" not in "".join(map(str, aws.journal))


class TestCommandLine:
    def test_command_runs_against_the_standin(self) -> None:
        program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
        argv = [
            sys.executable,
            "-m",
            "tests.standins.aws",
            "--quiet",
            sys.executable,
            "-c",
            program,
        ]
        root = Path(__file__).parents[3]
        ran = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "123456789012"


def test_concurrent_clients(aws: Aws) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            aws.client("ecr").create_repository(repositoryName=f"r{number}")
        except (ClientError, *NO_CONNECTION) as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(aws.client("ecr").describe_repositories()["repositories"]) == 8
