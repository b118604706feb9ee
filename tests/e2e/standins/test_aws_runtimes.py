"""The stand-in of AgentCore, KVS, Logs and ECR, called by the real boto3 over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.standins.aws_calls import image_of, refused, role_of, runtime_request, with_durations
from tests.standins.aws import Aws, aws_standin
from tests.standins.aws.example_stacks import (
    PULL,
    Json,
    Stacks,
    manifest,
    network,
    outputs,
)
from tests.standins.aws.http import operations
from tests.standins.aws.http.server import Server
from tests.standins.aws.services.ecr import Registry
from tests.standins.aws.services.zones import SUPPORTED


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
