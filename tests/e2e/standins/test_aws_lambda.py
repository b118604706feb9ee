"""The stand-in's Lambda: invocations, function URLs, and errors."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.standins.aws import Aws, aws_standin
from tests.standins.aws.server_python import make_python, start

HANDLER = """
import base64, json, sys, time
MODE = "ok"
if MODE == "broken":
    raise RuntimeError("no such setting")
def handler(event, context):
    if "requestContext" not in event:
        return {"called by": "IAM", "deadline": context.get_remaining_time_in_millis() > 0}
    path = event["rawPath"]
    print("request for", path)
    if path == "/error":
        raise ValueError("bad luck")
    if path == "/slow":
        time.sleep(60)
    if path == "/bytes":
        return {"statusCode": 201, "body": base64.b64encode(bytes(range(256))).decode(),
                "isBase64Encoded": True, "headers": {"Content-Type": "image/png"}}
    return event
"""
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": "sha256:" + "0" * 64,
        "size": 10,
    },
    "layers": [],
}
PULL = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
BOTH = (
    {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_python(tmp_path_factory.mktemp("python"))


@pytest.fixture
def aws(python: Path, tmp_path: Path) -> Iterator[Aws]:
    (tmp_path / "handler.py").write_text(HANDLER)

    def start_container(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        return start(python, tmp_path, command, env)

    with aws_standin(containers=start_container) as standin:
        yield standin


def request_for(aws: Aws, policy: bool = True, **more: Any) -> dict[str, Any]:
    """Return the parameters of CreateFunction, and create its image and role."""
    ecr, iam = aws.client("ecr"), aws.client("iam")
    ecr.create_repository(repositoryName="line")
    if policy:
        ecr.set_repository_policy(repositoryName="line", policyText=json.dumps(PULL))
    image = ecr.put_image(
        repositoryName="line", imageManifest=json.dumps(MANIFEST), imageTag="one"
    )["image"]["imageId"]["imageDigest"]
    role = iam.create_role(RoleName="line", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    return {
        "FunctionName": "line",
        "PackageType": "Image",
        "Code": {"ImageUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/line@{image}"},
        "ImageConfig": {"Command": ["python", "-m", "awslambdaric", "handler.handler"]},
        "Architectures": ["arm64"],
        "Role": role["Arn"],
    } | more


def create_function(aws: Aws, **more: Any) -> str:
    """Create a public function and return its URL."""
    client = aws.client("lambda")
    client.create_function(**request_for(aws, **more))
    aws.client("logs").create_log_group(logGroupName="/aws/lambda/line")
    for number, permission in enumerate(BOTH):
        client.add_permission(
            FunctionName="line", StatementId=f"s{number}", Principal="*", **permission
        )
    return client.create_function_url_config(FunctionName="line", AuthType="NONE")["FunctionUrl"]


def logged(aws: Aws) -> str:
    found = aws.client("logs").filter_log_events(logGroupName="/aws/lambda/line")["events"]
    return "\n".join(event["message"] for event in found)


def test_request_becomes_event_and_answer_becomes_response(aws: Aws) -> None:
    url = create_function(aws)
    assert 40 <= len(url) <= 100
    event = requests.post(
        f"{url}a%20b?x=1&x=2", json={"hello": "wörld"}, cookies={"c": "1"}, timeout=30
    ).json()
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "/a b",
        "x=1&x=2",
    )
    assert json.loads(event["body"]) == {"hello": "wörld"}
    assert event["cookies"] == ["c=1"]
    assert event["requestContext"]["http"]["method"] == "POST"
    sent = requests.put(url, data=b"\xff\0", headers={"content-type": "image/png"}, timeout=30)
    assert sent.json()["isBase64Encoded"]
    assert base64.b64decode(sent.json()["body"]) == b"\xff\0"
    answer = requests.get(f"{url}bytes", timeout=30)
    assert (answer.status_code, answer.content) == (201, bytes(range(256)))
    failed = requests.get(f"{url}error", timeout=30)
    assert (failed.status_code, failed.json()) == (502, {"Message": "Internal Server Error"})
    assert requests.get(url, timeout=30).status_code == 200  # the container continues
    assert "request for /error" in logged(aws) and "bad luck" in logged(aws)


def test_function_can_be_invoked_with_iam(aws: Aws) -> None:
    create_function(aws)
    asked = aws.client("lambda").invoke(FunctionName="line", Payload=b"{}")
    assert json.loads(asked["Payload"].read()) == {"called by": "IAM", "deadline": True}
    assert "FunctionError" not in asked


def test_url_needs_both_permissions(aws: Aws) -> None:
    url = create_function(aws)
    for statement in ("s0", "s1"):
        aws.client("lambda").remove_permission(FunctionName="line", StatementId=statement)
        assert requests.get(url, timeout=30).status_code == 403


def test_slow_or_broken_function_is_a_502(aws: Aws, tmp_path: Path) -> None:
    url = create_function(aws, Timeout=1)
    assert requests.get(f"{url}slow", timeout=30).status_code == 502
    (tmp_path / "handler.py").write_text(HANDLER.replace('"ok"', '"broken"', 1))
    assert requests.get(url, timeout=30).status_code == 502
    assert "no such setting" in logged(aws)
    (tmp_path / "handler.py").write_text(HANDLER)
    assert requests.get(url, timeout=30).status_code == 200


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"policy": False}, "AccessDeniedException"),
        ({"Code": {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/line@sha256:0"}},
         "InvalidParameterValueException"),
        ({"Environment": {"Variables": {"AWS_REGION": "us-east-1"}}},
         "InvalidParameterValueException"),
        ({"Environment": {"Variables": {"AB": "x" * 4096}}}, "InvalidParameterValueException"),
    ],
    ids=["policy", "image", "reserved", "too much"],
)  # fmt: skip
def test_rejects_invalid_function(aws: Aws, more: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        aws.client("lambda").create_function(**request_for(aws, **more))
    assert refused.value.response["Error"]["Code"] == code
