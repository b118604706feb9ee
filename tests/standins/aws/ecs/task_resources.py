"""Owns what ECS gets for a task before it starts: image, secrets, roles and credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.backends import get_backend

from tests.standins.aws.cloud import Caller, Cloud, new_caller
from tests.standins.aws.http.operations import Response
from tests.standins.aws.http.server import Server
from tests.standins.aws.services.agentcore.checks import role_allows
from tests.standins.aws.services.ecr import sync_registry

_TRUSTED = "ecs-tasks.amazonaws.com"


class TaskStartFailed(Exception):
    """A task's command could not be started; the message is its stoppedReason."""


class TaskResources:
    """The services that ECS calls for one caller, in one account and region."""

    def __init__(self, cloud: Cloud, caller: Caller, region: str) -> None:
        self._cloud, self._caller = cloud, caller
        self.account, self.region = caller.account, region
        self._servers: dict[str, Server] = {}

    def client(self, service: str) -> Any:
        """Return a client with which ECS calls another service."""
        return self._cloud.client(service, self.region, self._caller, "ecs")

    def check_log(self, group: str) -> None:
        """Raise TaskStartFailed unless the log group exists."""
        if group not in get_backend("logs")[self.account][self.region].groups:
            raise TaskStartFailed(
                "ResourceInitializationError: failed to validate logger args: create stream has "
                "been retried 1 times: failed to create Cloudwatch log stream: "
                "ResourceNotFoundException: The specified log group does not exist."
            )

    def cidr_of(self, subnet: str) -> str:
        """Return the CIDR block of a subnet's VPC."""
        ec2 = self.client("ec2")
        vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
        return ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]

    def check_role(self, arn: str | None) -> None:
        """Raise TaskStartFailed unless ECS may assume this role for a task."""
        try:
            role = self.client("iam").get_role(RoleName=(arn or "").rpartition("/")[2])["Role"]
            trusted = _TRUSTED in json.dumps(role["AssumeRolePolicyDocument"])
        except ClientError:
            trusted = False
        if not trusted:
            raise TaskStartFailed(
                f"ECS was unable to assume the role '{arn}' that was provided for this task. "
                "Please verify that the role being passed has the proper trust relationship and "
                "permissions and that your IAM user has permissions to pass this role."
            )

    def check_image(self, image: str, role: str) -> None:
        """Raise TaskStartFailed unless the image is in ECR, and the role may pull it."""
        name, _, digest = image.partition("/")[2].partition("@")
        arn = f"arn:{self._caller.partition}:ecr:{self.region}:{self.account}:repository/{name}"
        actions = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
        if not self._is_allowed(role, {action: arn for action in actions}):
            raise TaskStartFailed(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                f"failed to resolve ref {image}: unexpected status from HEAD request: 403 Forbidden"
            )
        with self._cloud.lock:
            sync_registry(self._cloud, self.account, self.region)
            found = get_backend("ecr")[self.account][self.region].repositories.get(name)
            known = {each.get_image_digest() for each in found.images} if found else set()
        if digest not in known:
            raise TaskStartFailed(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                f"failed to resolve ref {image}: {image}: not found"
            )

    def secret(self, reference: str, role: str) -> str:
        """Return a secret's value: arn[:key[:stage[:version]]]. Raises TaskStartFailed."""
        parts = reference.split(":")
        arn, (key, stage, version) = ":".join(parts[:7]), (*parts[7:], "", "", "")[:3]
        wanted = {"VersionStage": stage} if stage else {}
        wanted |= {"VersionId": version} if version else {}
        reason = ""
        try:
            if not self._is_allowed(role, {"secretsmanager:GetSecretValue": arn}):
                reason = (
                    f"AccessDeniedException: User: {role} is not authorized to perform: "
                    f"secretsmanager:GetSecretValue on resource: {arn}"
                )
            else:
                answer = self.client("secretsmanager").get_secret_value(SecretId=arn, **wanted)
                text = answer["SecretString"]
                if not key or key in json.loads(text):
                    return json.loads(text)[key] if key else text
                reason = f"retrieved secret from Secrets Manager did not contain json key {key}"
        except ClientError as error:
            reason = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        raise TaskStartFailed(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution "
            "resource retrieval failed: unable to retrieve secret from asm: service call has been "
            f"retried 1 time(s): failed to fetch secret {arn} from secrets manager: {reason}"
        )

    def _is_allowed(self, role: str, actions: Mapping[str, str]) -> bool:
        iam, name = self.client("iam"), role.rpartition("/")[2]
        return all(role_allows(iam, name, action, arn) for action, arn in actions.items())

    def credentials_for(self, arn: str) -> dict[str, str]:
        """Return the variable with which any SDK gets credentials of the task's role."""
        if arn not in self._servers:
            server = Server(lambda _: self._credentials(arn))
            self._cloud.start(lambda: server.serve_forever(0.05), f"keys of {arn}")
            self._servers[arn] = server
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._servers[arn].url}/v2/credentials"}

    def _credentials(self, arn: str) -> Response:
        caller = new_caller(self.account, arn.rpartition("/")[2], partition=self._caller.partition)
        self._cloud.callers[caller.access_key_id] = caller
        document = {
            "RoleArn": arn,
            "AccessKeyId": caller.access_key_id,
            "SecretAccessKey": caller.secret_access_key,
            "Token": caller.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
        }
        return Response(200, json.dumps(document).encode(), {"content-type": "application/json"})

    def close(self) -> None:
        """Stop serving credentials."""
        for server in self._servers.values():
            server.shutdown()
            server.server_close()
        self._servers.clear()
