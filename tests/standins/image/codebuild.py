"""A stand-in of CodeBuild on top of moto, with what moto lacks: builds that run and end.

moto stores the projects. A build enters its next phase at each request for its state and ends as a
test scripts it, or a machine runs the commands of its buildspec. `codebuild_server` serves it.
Sources: CodeBuild User Guide, "Build phase transitions" and "Environment variables in build
environments".
"""

from __future__ import annotations

import io
import json
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import boto3
from botocore.exceptions import ClientError

from tests.standins.image.codebuild_builds import PHASES, Build, BuildMachine, BuildScript, unpack
from tests.standins.models.contract import check_answer, check_request, service
from tests.standins.models.refusal import Refused
from tests.standins.models.sigv4 import Keys, Request, check_headers

_HOP_HEADERS = {"connection", "transfer-encoding", "date", "server"}  # not passed on


class CodeBuild:
    """The stand-in of one account and region; tests change its fields while it runs."""

    def __init__(self, moto: str, region: str, keys: Keys) -> None:
        self.moto = moto
        self.region = region
        self.account = "123456789012"
        self.keys = keys
        self.endpoint = ""
        self.machine: BuildMachine | None = None
        self.reset()

    def reset(self) -> None:
        """Delete all state, including moto's."""
        urlopen(HttpRequest(f"{self.moto}/moto-api/reset", method="POST")).close()
        self.scripts: list[BuildScript] = []
        """Scripts of the next builds."""
        self.builds: list[Build] = []
        self.operations: list[str] = []
        """Names of the requested operations."""
        self.denied: set[str] = set()
        self.quota: set[str] = set()
        self.expired_after: float = float("inf")
        """Number of requests after which the credentials expire."""
        self.unanswered: int = 0
        """Number of next requests that get no answer."""
        self.foreign_buckets: set[str] = set()
        """Buckets that belong to another account."""
        self.policies: dict[str, bytes] = {}
        """Policies of buckets."""
        self.role_unknown: int = 0
        """Number of next requests for which IAM has not propagated the role yet."""

    @contextmanager
    def iam_enforced(self) -> Iterator[None]:
        """Make moto enforce the users' policies during the block."""
        self._skip_iam(0)
        try:
            yield
        finally:
            self._skip_iam(float("inf"))

    def _skip_iam(self, requests: float) -> None:
        """Make moto check no policies for the next requests."""
        url = f"{self.moto}/moto-api/reset-auth"
        text = {"Content-Type": "text/plain"}
        urlopen(HttpRequest(url, str(requests).encode(), text, method="POST")).close()

    def client(self, name: str) -> Any:
        """Return a client of moto with the permissions of a build's role."""
        return boto3.client(
            name,
            region_name=self.region,
            endpoint_url=self.moto,
            aws_access_key_id=self.keys.access_key_id,
            aws_secret_access_key=self.keys.secret_access_key,
        )

    def moto_s3(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the answer of moto's S3: status, headers, body."""
        host, _, port = self.moto.removeprefix("http://").partition(":")
        connection = HTTPConnection(host, int(port))
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            kept = {n: v for n, v in answer.getheaders() if n.lower() not in _HOP_HEADERS}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    # ---- the API

    def answer(
        self, request: Request, operation: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the answer of CodeBuild. Raises Refused."""
        check_headers(request, self.keys, self.region, "codebuild")
        self.operations.append(operation)
        if len(self.operations) > self.expired_after:
            expired = "The security token included in the request is expired"
            raise Refused("ExpiredTokenException", expired)
        check_request(service("codebuild"), operation, parameters)
        if f"codebuild:{operation}" in self.denied:
            raise Refused(
                "AccessDeniedException",
                f"User: arn:aws:iam::{self.account}:user/tester is not authorized to perform: "
                f"codebuild:{operation} on resource: * because no identity-based policy allows the "
                f"codebuild:{operation} action",
            )
        if operation in self.quota:
            raise Refused("AccountLimitExceededException", "Cannot have more builds in queue")
        answers = {
            "CreateProject": self._create_project,
            "UpdateProject": self._update_project,
            "StartBuild": self._start_build,
            "BatchGetBuilds": self._batch_get_builds,
            "StopBuild": self._stop_build,
        }
        answer = (
            answers[operation](parameters)
            if operation in answers
            else self._pass(operation, parameters)
        )
        if service("codebuild").operation_model(operation).output_shape.members:
            check_answer(service("codebuild"), f"{operation}Output", answer)
        return answer

    def _pass(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return moto's answer, requested by boto3 so that botocore parses it."""
        call = {
            "CreateProject": "create_project",
            "BatchGetProjects": "batch_get_projects",
            "DeleteProject": "delete_project",
        }[operation]
        try:
            answer = getattr(self.client("codebuild"), call)(**parameters)
        except ClientError as error:
            raise Refused(
                error.response["Error"]["Code"], error.response["Error"]["Message"]
            ) from error
        del answer["ResponseMetadata"]
        return json.loads(json.dumps(answer, default=lambda time: time.timestamp()))

    def _create_project(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._check_role(parameters["serviceRole"])
        return self._pass("CreateProject", parameters)

    def _update_project(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Create the project again, because moto has no UpdateProject."""
        self._check_role(parameters["serviceRole"])
        self._project(parameters["name"])
        self._pass("DeleteProject", {"name": parameters["name"]})
        return self._pass("CreateProject", parameters)

    def _project(self, name: str) -> dict[str, Any]:
        found = self._pass("BatchGetProjects", {"names": [name]})["projects"]
        if not found:
            raise Refused("ResourceNotFoundException", f"Project cannot be found: {name}")
        return found[0]

    def _check_role(self, arn: str) -> None:
        refusal = Refused(
            "InvalidInputException",
            f"CodeBuild is not authorized to perform: sts:AssumeRole on {arn}",
        )
        if self.role_unknown > 0:
            self.role_unknown -= 1
            raise refusal
        try:
            role = self.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except ClientError as error:
            raise refusal from error
        if "codebuild.amazonaws.com" not in json.dumps(role["AssumeRolePolicyDocument"]):
            raise refusal

    # ---- builds

    def _start_build(self, parameters: dict[str, Any]) -> dict[str, Any]:
        project = self._project(parameters["projectName"])
        script = self.scripts.pop(0) if self.scripts else BuildScript()
        build = Build(parameters, project, script, f"{project['name']}:{uuid.uuid4()}")
        build.begin("SUBMITTED")
        build.end()
        build.begin("QUEUED")
        self.builds.append(build)
        if self.machine:
            threading.Thread(target=self._run, args=(build, self.machine), daemon=True).start()
        return {"build": build.shown(self.region, self.account)}

    def _batch_get_builds(self, parameters: dict[str, Any]) -> dict[str, Any]:
        found = [build for build in self.builds if build.id in parameters["ids"]]
        for build in found:
            if not self.machine and build.status == "IN_PROGRESS":
                self._advance(build)
        return {"builds": [build.shown(self.region, self.account) for build in found]}

    def _stop_build(self, parameters: dict[str, Any]) -> dict[str, Any]:
        build = next((build for build in self.builds if build.id == parameters["id"]), None)
        if not build:
            raise Refused("ResourceNotFoundException", f"Build {parameters['id']} does not exist")
        build.stopped.set()
        if build.process:
            build.process.terminate()
        if build.status == "IN_PROGRESS":
            build.end("STOPPED")
            build.begin("COMPLETED")
            build.status = "STOPPED"
        return {"build": build.shown(self.region, self.account)}

    def _advance(self, build: Build) -> None:
        """Enter the next phase, as the script says."""
        phase = build.phases[-1]["phaseType"]
        script = build.script
        if phase == script.stays_in:
            return
        if phase == "DOWNLOAD_SOURCE" and not script.fails_in:
            self._source_of(build)
        if phase == script.fails_in:
            build.end(script.status, script.says)
            follows = "POST_BUILD" if phase == "BUILD" else "COMPLETED"
        else:
            failed = any(each.get("phaseStatus") == "FAILED" for each in build.phases)
            failing = failed and phase == "POST_BUILD"
            build.end("FAILED" if failing else "SUCCEEDED", "exit status 1" if failing else "")
            follows = PHASES[PHASES.index(phase) + 1]
        build.begin(follows)
        if follows == "BUILD":
            self._write_log(build, script.log)
        if follows == "POST_BUILD" and script.pushes and not script.fails_in:
            script.pushes(Path(build.request["sourceLocationOverride"]).stem)
        if follows == "POST_BUILD":
            self._write_log(build, ["[Container] Phase complete: POST_BUILD State: FAILED"])
        if follows == "COMPLETED":
            build.status = script.status if script.fails_in else "SUCCEEDED"

    def _source_of(self, build: Build) -> zipfile.ZipFile:
        bucket, _, key = build.request["sourceLocationOverride"].partition("/")
        found = self.client("s3").get_object(Bucket=bucket, Key=key)
        return zipfile.ZipFile(io.BytesIO(found["Body"].read()))

    def _write_log(self, build: Build, lines: Sequence[str]) -> None:
        logs = self.client("logs")
        place = {
            "logGroupName": build.project["logsConfig"]["cloudWatchLogs"]["groupName"],
            "logStreamName": build.stream,
        }
        try:
            logs.create_log_stream(**place)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceAlreadyExistsException"
        if lines:
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": f"{line}\n"} for line in lines]
            logs.put_log_events(**place, logEvents=events)

    # ---- builds on a machine

    def _run(self, build: Build, machine: BuildMachine) -> None:
        """Run the buildspec as CodeBuild does: POST_BUILD also follows a failed BUILD."""
        spec = json.loads(build.request["buildspecOverride"])
        folder = Path(machine.env["HOME"]) / build.stream
        failed = ""
        for phase in PHASES[2:]:
            if "phaseStatus" not in build.phases[-1]:
                build.end()
            build.begin(phase)
            if phase == "DOWNLOAD_SOURCE":
                unpack(self._source_of(build), folder)
            commands = spec["phases"].get(phase.lower(), {}).get("commands", [])
            for command in commands:
                self._write_log(build, [f"[Container] Running command {command}"])
                env = {**machine.env, "CODEBUILD_BUILD_SUCCEEDING": "0" if failed else "1"}
                code = self._command(build, machine.argv("sh", "-c", command), folder, env)
                if build.stopped.is_set():
                    return
                if code:
                    failed = failed or phase
                    build.end("FAILED", f"Error while executing command: {command}. "
                              f"Reason: exit status {code}")  # fmt: skip
                    break
            state = "FAILED" if failed else "SUCCEEDED"
            self._write_log(build, [f"[Container] Phase complete: {phase} State: {state}"])
            if failed and phase not in ("BUILD", "POST_BUILD"):
                break
        if build.phases[-1]["phaseType"] != "COMPLETED":
            build.begin("COMPLETED")
        build.status = "FAILED" if failed else "SUCCEEDED"

    def _command(self, build: Build, argv: list[str], folder: Path, env: Mapping[str, str]) -> int:
        build.process = subprocess.Popen(
            argv, cwd=folder, env=dict(env), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with build.process as process:
            for line in process.stdout or ():
                self._write_log(build, [line.rstrip("\n")] if line.strip() else [])
        return process.returncode
