"""Owns one run: what is created for which doubts, in parallel, and the rows that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from websockets.exceptions import WebSocketException

from tests.aws.settle import calls, control
from tests.aws.settle.account import Account, Unanswered
from tests.aws.settle.deployer import Deployer, export_project, push_image, push_placeholder
from tests.aws.settle.report import Row
from tests.aws.settle.runtimes import Runtime, create, delete_logs

_EXPECTED = (ClientError, BotoCoreError, WebSocketException, OSError, Unanswered)
"""Failures of a probe; anything else is a fault of the probe itself."""


@dataclass(frozen=True)
class Doubt:
    """A question, what the stand-in (or the local runtime) does, and the function that asks AWS."""

    name: str
    question: str
    standin: str
    probe: Callable[[Any], str]


UNSAID = (
    Doubt("platform default", "Platform of a runtime that names none", "V1",
          control.platform_when_unsaid),
    Doubt("MMDSv2 new", "requireMMDSV2 of a new runtime", "True", control.mmdsv2_when_created),
    Doubt("MMDSv2 updated", "requireMMDSV2 after an update that does not name it",
          "False; invoked: ValidationException", control.mmdsv2_after_update),
)  # fmt: skip
CALLS = (
    Doubt("environment", "Variables that the platform gives a container",
          "AWS_DEFAULT_REGION, AWS_REGION", calls.environment),
    Doubt("container", "User, /.dockerenv, OpenTelemetry's resource",
          "uid 1000, /.dockerenv False, cloud.resource_id False", calls.container),
    Doubt("headers", "Headers of the platform that reach a container",
          "x-amzn-bedrock-agentcore-runtime-request-id, "
          "x-amzn-bedrock-agentcore-runtime-session-id", calls.headers),
    Doubt("restored on V1", "Whether two sessions on V1 share one start", "a start each",
          calls.restored),
    Doubt("start on V1", "Median time of a new session's first answer on V1", "",
          calls.start_seconds),
    Doubt("unencoded ARN", "An ARN that is not encoded in the path of /ws", "accepted",
          calls.unencoded_arn),
    Doubt("header, presigned", "A session header beside a presigned URL without a session",
          "the header's session", calls.session_header_beside_presigned),
    Doubt("header, signed", "A session header that the signature covers", "the header's session",
          calls.session_header_signed),
    Doubt("frame", "Largest WebSocket frame", "64 KB; 65 KB: closed with 1009",
          calls.largest_frame),
    Doubt("drain", "Life of a process after SIGTERM when its session is stopped",
          "SIGTERM, then 15 s", calls.drain),
)  # fmt: skip
V2 = (
    Doubt("restored on V2", "Whether two sessions on V2 share one start", "one start",
          calls.restored),
    Doubt("start on V2", "Median time of a new session's first answer on V2", "",
          calls.start_seconds),
    Doubt("environment on V2", "Variables that the platform gives a container on V2",
          "AWS_DEFAULT_REGION, AWS_REGION", calls.environment),
    Doubt("V2 updated", "Platform of a V2 runtime after an update that names none", "V1",
          control.platform_after_update),
)  # fmt: skip
MODELS = (
    Doubt("model IDs", "IDs of Nova 2.5 Sonic that Bedrock knows",
          "amazon.nova-2-5-sonic ACTIVE, no end; amazon.nova-2-5-sonic-v1:0 ValidationException",
          control.model_ids),
)  # fmt: skip


@dataclass
class Run:
    """One run in an account; `placeholder`: with an image that cannot run, for the stand-in."""

    account: Account
    folder: Path
    say: Callable[[str], object]
    placeholder: bool = False

    def rows(self) -> list[Row]:
        """Create what is needed, ask every question, and return the answers."""
        account = self.account
        self.say("exporting a project's templates and policies")
        root = export_project(self.folder, account.name, account.region)
        self.say("creating an identity with the exported policies")
        deployer = Deployer(account, root)
        images = Doubt("handlers, images", "Permissions that the images stack lacks", "complete",
                       lambda _: deployer.create(f"voicecore-{account.name}-images"))  # fmt: skip
        found = self._ask((images,), deployer)
        account.later("log groups", lambda: delete_logs(account))
        self.say("pushing the image of the probes")
        image = self._image(root)
        role = self._role()
        groups: list[Callable[[], list[Row]]] = [
            partial(self._with_runtime, UNSAID, image, role, "unsaid"),
            partial(self._with_runtime, CALLS, image, role, "calls", platformVersion="V1"),
            partial(self._with_runtime, V2, image, role, "v2", platformVersion="V2"),
            *(
                partial(
                    self._with_runtime,
                    (_ping_doubt(body),),
                    image,
                    role,
                    f"ping_{name}",
                    platformVersion="V1",
                    environmentVariables={"PING_BODY": body},
                )
                for name, body in control.PING_BODIES.items()
            ),
            partial(self._ask, MODELS, account),
            partial(self._ask, self._deployer_doubts(image), deployer),
        ]
        with ThreadPoolExecutor(len(groups)) as pool:
            running = [pool.submit(group) for group in groups]
            try:
                for future in running:
                    found += future.result()
            except BaseException:
                account.stop.set()  # the pool waits for its threads, which notice it
                raise
        return found

    def _deployer_doubts(self, image: str) -> tuple[Doubt, ...]:
        agent = f"voicecore-{self.account.name}-dev"
        parameters = {"ImageUri": image, "LiveVersion": "1"}
        return (
            Doubt("handlers, agent", "Permissions that the agent's stack lacks", "complete",
                  lambda deployer: deployer.create(agent, **parameters)),
            Doubt("DescribeStacks", "DescribeStacks without a name, with the exported policies",
                  "allowed", lambda deployer: deployer.describe_all()),
            Doubt("handlers, deletion", "Permissions that deleting the agent's stack lacks",
                  "complete", lambda deployer: deployer.delete(agent)),
        )  # fmt: skip

    def _with_runtime(
        self, doubts: Sequence[Doubt], image: str, role: str, suffix: str, **settings: Any
    ) -> list[Row]:
        try:
            made = create(self.account, suffix, image, role, **settings)
        except _EXPECTED as error:
            return [Row(d.name, d.question, d.standin, "", _short(error)) for d in doubts]
        self.say(f"runtime {made.id}: {made.describe()['status']} after {made.seconds:.0f} s")
        return self._ask(doubts, made)

    def _ask(self, doubts: Sequence[Doubt], subject: Account | Deployer | Runtime) -> list[Row]:
        rows: list[Row] = []
        for doubt in doubts:
            observed, why_not = "", ""
            try:
                observed = doubt.probe(subject)
            except _EXPECTED as error:
                why_not = _short(error)
            rows.append(Row(doubt.name, doubt.question, doubt.standin, observed, why_not))
            self.say(f"{doubt.name}: {observed or why_not}")
        return rows

    def _image(self, root: Path) -> str:
        """Push the image into the repository of the images stack, or into one of our own."""
        account, name = self.account, f"voicecore/{self.account.name}"
        ecr = account.client("ecr")
        try:
            found = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
        except ClientError:
            found = ecr.create_repository(repositoryName=name)["repository"]
            account.later(
                f"repository {name}", lambda: ecr.delete_repository(repositoryName=name, force=True)
            )
        uri = found["repositoryUri"]
        return push_placeholder(account, uri) if self.placeholder else push_image(root, uri)

    def _role(self) -> str:
        """Create the execution role of the probes' runtimes, and return its ARN."""
        iam, name = self.account.client("iam"), f"{self.account.name}-runtime"
        actions = [
            "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken",
            "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents",
            "logs:DescribeLogGroups", "logs:DescribeLogStreams",
        ]  # fmt: skip
        trusted = {"Service": "bedrock-agentcore.amazonaws.com"}
        made = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=_policy(Principal=trusted, Action="sts:AssumeRole"),
        )
        self.account.later(f"role {name}", lambda: iam.delete_role(RoleName=name))
        document = _policy(Action=actions, Resource="*")
        iam.put_role_policy(RoleName=name, PolicyName="probes", PolicyDocument=document)
        self.account.later(
            f"policy of {name}",
            lambda: iam.delete_role_policy(RoleName=name, PolicyName="probes"),
        )
        return made["Role"]["Arn"]


def _ping_doubt(body: str) -> Doubt:
    return Doubt(f"ping {body}", f"A runtime whose /ping answers {body}", "answers",
                 control.ping_accepted)  # fmt: skip


def _policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
