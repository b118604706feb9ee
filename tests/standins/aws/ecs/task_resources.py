"""What ECS gets for a task before it starts: its image, its secrets, its roles and their keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.backends import get_backend

from tests.standins.aws.cloud import Caller, Cloud, new_caller
from tests.standins.aws.http.operations import Response
from tests.standins.aws.http.server import Server
from tests.standins.aws.services.agentcore import role_allows
from tests.standins.aws.services.ecr import sync_registry

_TRUSTED = "ecs-tasks.amazonaws.com"


class TaskStartFailed(Exception):
    """Why a task's command could not be run, as its stoppedReason tells it."""


class TaskResources:
    """The other services as ECS calls them for one caller, in one place."""

    def __init__(self, cloud: Cloud, caller: Caller, region: str) -> None:
        self._cloud, self._caller = cloud, caller
        self.account, self.region = caller.account, region
        self._doors: dict[str, Server] = {}

    def client(self, service: str) -> Any:
        """A client by which ECS does its part."""
        return self._cloud.client(service, self.region, self._caller, "ecs")

    def check_log(self, group: str) -> None:
        """Raise NotStarted unless there is such a log group."""
        if group not in get_backend("logs")[self.account][self.region].groups:
            raise TaskStartFailed(
                "ResourceInitializationError: failed to validate logger args: create stream has "
                "been retried 1 times: failed to create Cloudwatch log stream: "
                "ResourceNotFoundException: The specified log group does not exist."
            )

    def cidr_of(self, subnet: str) -> str:
        """The addresses of the network that a subnet is in."""
        ec2 = self.client("ec2")
        vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
        return ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]

    def check_role(self, arn: str | None) -> None:
        """Raise NotStarted unless ECS may take this role for a task."""
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
        """Raise NotStarted unless it is in ECR, and the role may pull it."""
        name, _, digest = image.partition("/")[2].partition("@")
        arn = f"arn:aws:ecr:{self.region}:{self.account}:repository/{name}"
        actions = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
        if not self._may(role, {action: arn for action in actions}):
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

    def secret(self, where: str, role: str) -> str:
        """A secret's value: arn[:key[:stage[:version]]]. Raises NotStarted."""
        parts = where.split(":")
        arn, (key, stage, version) = ":".join(parts[:7]), (*parts[7:], "", "", "")[:3]
        wanted = {"VersionStage": stage} if stage else {}
        wanted |= {"VersionId": version} if version else {}
        why = ""
        try:
            if not self._may(role, {"secretsmanager:GetSecretValue": arn}):
                why = (
                    f"AccessDeniedException: User: {role} is not authorized to perform: "
                    f"secretsmanager:GetSecretValue on resource: {arn}"
                )
            else:
                answer = self.client("secretsmanager").get_secret_value(SecretId=arn, **wanted)
                text = answer["SecretString"]
                if not key or key in json.loads(text):
                    return json.loads(text)[key] if key else text
                why = f"retrieved secret from Secrets Manager did not contain json key {key}"
        except ClientError as error:
            why = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        raise TaskStartFailed(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution "
            "resource retrieval failed: unable to retrieve secret from asm: service call has been "
            f"retried 1 time(s): failed to fetch secret {arn} from secrets manager: {why}"
        )

    def _may(self, role: str, actions: Mapping[str, str]) -> bool:
        iam, name = self.client("iam"), role.rpartition("/")[2]
        return all(role_allows(iam, name, action, arn) for action, arn in actions.items())

    def keys_of(self, arn: str) -> dict[str, str]:
        """The variable by which any SDK gets keys of the task's role."""
        if arn not in self._doors:
            server = Server(lambda _: self._keys(arn))
            self._cloud.start(lambda: server.serve_forever(0.05), f"keys of {arn}")
            self._doors[arn] = server
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._doors[arn].url}/v2/credentials"}

    def _keys(self, arn: str) -> Response:
        made = new_caller(self.account, arn.rpartition("/")[2])
        self._cloud.callers[made.access_key_id] = made
        document = {
            "RoleArn": arn,
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
        }
        return Response(200, json.dumps(document).encode(), {"content-type": "application/json"})

    def close(self) -> None:
        """Serve no keys any more."""
        for server in self._doors.values():
            server.shutdown()
            server.server_close()
        self._doors.clear()
