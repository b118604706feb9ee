"""The stand-in of AWS: callers, models, quotas, faults and its journal."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e.standins.aws_calls import NO_CONNECTION, refused, role_of, runtime_request
from tests.standins.aws import Aws
from tests.standins.aws.example_stacks import (
    Stacks,
    images,
)
from tests.standins.aws.http import operations


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
