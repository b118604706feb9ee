"""Owns the doubts about the exported policies: an identity with only these runs a stack's life."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.exceptions import ClientError

from tests.aws.settle.account import Account, Unanswered, code_of

_DENIED = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")


class Deployer:
    """An identity that has the policies of `voicecore deploy --export` and nothing else."""

    def __init__(self, account: Account, root: Path) -> None:
        self._account = account
        self._folder = root / "cloudformation"
        self.session = self._assume()

    def _assume(self) -> boto3.Session:
        account, iam = self._account, self._account.client("iam")
        me = account.client("sts").get_caller_identity()
        partition = me["Arn"].split(":")[1]
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:{partition}:iam::{me['Account']}:root"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        name = f"{account.name}-deployer"
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        account.later(f"role {name}", lambda: iam.delete_role(RoleName=name))
        for path in sorted(self._folder.glob("deployer-policy-*.json")):
            policy = iam.create_policy(
                PolicyName=f"{account.name}-{path.stem}", PolicyDocument=path.read_text()
            )["Policy"]["Arn"]
            account.later(
                f"policy {policy}", lambda policy=policy: iam.delete_policy(PolicyArn=policy)
            )
            iam.attach_role_policy(RoleName=name, PolicyArn=policy)
            account.later(
                f"attachment of {path.stem}",
                lambda policy=policy: iam.detach_role_policy(RoleName=name, PolicyArn=policy),
            )

        def assumed() -> dict[str, str] | None:
            try:
                answer = account.client("sts").assume_role(
                    RoleArn=made["Role"]["Arn"], RoleSessionName="settle"
                )
            except ClientError:
                return None  # IAM has not propagated the role yet
            return answer["Credentials"]

        keys = account.until(assumed, "the deployer's role", every=5)
        return boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], account.region
        )

    def create(self, stack: str, **parameters: str) -> str:
        """Create the stack of this name; return "complete", or the permissions it lacks."""
        account = self._account
        cloud = account.client("cloudformation", self.session)
        template = yaml.safe_load((self._folder / f"{stack}.yaml").read_text())
        declared = template.get("Parameters", {})

        def create() -> Any:
            try:
                return cloud.create_stack(
                    StackName=stack,
                    TemplateBody=json.dumps(template),
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                    Parameters=[
                        {"ParameterKey": key, "ParameterValue": value}
                        for key, value in parameters.items()
                        if key in declared
                    ],
                    Tags=[{"Key": "voicecore:project", "Value": account.name}],
                )
            except ClientError as error:
                if code_of(error) == "AccessDenied" and "CreateStack" in str(error):
                    return None  # IAM has not propagated the policies yet
                raise

        account.until(create, "the deployer's policies", every=5)
        # The administrator deletes what the deployer may not.
        account.later(f"stack {stack}", lambda: self._delete_as_administrator(stack))
        return self._outcome(stack)

    def delete(self, stack: str) -> str:
        """Delete the stack; return "complete", or the permissions that were missing."""
        cloud = self._account.client("cloudformation", self.session)
        cloud.delete_stack(StackName=stack)
        return self._outcome(stack)

    def describe_all(self) -> str:
        """Return whether DescribeStacks without a name is allowed."""
        cloud = self._account.client("cloudformation", self.session)
        try:
            cloud.describe_stacks()
        except ClientError as error:
            return code_of(error)
        return "allowed"

    def _outcome(self, stack: str) -> str:
        cloud = self._account.client("cloudformation")

        def over() -> str:
            try:
                status = cloud.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            except ClientError:
                return "DELETE_COMPLETE"
            return "" if status.endswith("_IN_PROGRESS") else status

        status = self._account.until(over, f"stack {stack}", every=3)
        if status in ("CREATE_COMPLETE", "DELETE_COMPLETE"):
            return "complete"
        events = cloud.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events]
        missing = sorted({action for text in reasons for action in _DENIED.findall(text)})
        return f"{status}: {', '.join(missing) or next(filter(None, reasons), 'no reason')}"

    def _delete_as_administrator(self, stack: str) -> None:
        cloud = self._account.client("cloudformation")
        cloud.delete_stack(StackName=stack)
        waiter = cloud.get_waiter("stack_delete_complete")
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 3, "MaxAttempts": 100})


def export_project(folder: Path, name: str, region: str) -> Path:
    """Create a project whose agent is that of the probes, and export its templates and policies."""
    words = ["init", name, "--pipeline", "offline", "--region", region, "--yes"]
    _voicecore(folder, *words)
    root = folder / name
    agent = Path(__file__).with_name("agent") / "app.py"
    (root / "agent/internal/app.py").write_text(agent.read_text())
    (root / "agent/pyproject.toml").write_text(
        '[project]\nname = "settle"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["six==1.17.0"]\n\n[tool.uv]\npackage = false\n'
    )
    (root / "agent/uv.lock").unlink(missing_ok=True)
    _voicecore(root, "deploy", "--export", "template")
    return root


def push_image(root: Path, repository: str) -> str:
    """Build the probes' image, push it, and return it by digest."""
    built = json.loads(_voicecore(root, "build", "--push", repository, "--json"))
    return f"{repository}@{built['digest']}"


def push_placeholder(account: Account, repository: str) -> str:
    """Put a manifest without layers into the repository, for the stand-in, and return it."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": "sha256:" + "0" * 64,
            "size": 2,
        },
        "layers": [],
    }
    put = account.client("ecr").put_image(
        repositoryName=repository.partition("/")[2],
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=manifest["mediaType"],
        imageTag="placeholder",
    )
    return f"{repository}@{put['image']['imageId']['imageDigest']}"


def _voicecore(folder: Path, *words: str) -> str:
    argv = [sys.executable, "-m", "voicecore", *words]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Unanswered(f"voicecore {words[0]} failed: {done.stderr.strip()}")
    return done.stdout
