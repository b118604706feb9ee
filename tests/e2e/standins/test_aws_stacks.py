"""The stand-in of CloudFormation, called by the real boto3 over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.e2e.standins.aws_calls import (
    deploy_all,
    image_of,
    refused,
    role_of,
    runtime_request,
    with_durations,
)
from tests.standins.aws import REAL, Aws, aws_standin
from tests.standins.aws.example_stacks import (
    TRUST,
    Json,
    Stacks,
    agent,
    att,
    images,
    network,
    outputs,
    ref,
    resource,
    sub,
    template,
)


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
