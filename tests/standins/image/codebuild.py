"""A stand-in of CodeBuild on top of moto, with what moto lacks: builds that run and end.

moto stores the projects and replaces S3, IAM, STS and CloudWatch Logs. This is a proxy before
moto's CodeBuild, and before its S3, because moto ignores conditions of bucket policies and expected
bucket owners. A build enters its next phase at each request for its state and ends as a
test scripts it, or a machine runs the commands of its buildspec. Sources: CodeBuild User Guide,
"Build phase transitions" and "Environment variables in build environments".
"""

from __future__ import annotations

import io
import json
import subprocess
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import boto3
from botocore.exceptions import ClientError
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tests.standins.models.contract import check_answer, check_request, service
from tests.standins.models.refusal import Refused
from tests.standins.models.sigv4 import Keys, Request, check_headers

TARGET = "CodeBuild_20161006."
PHASES = (
    "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD",
    "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
)  # fmt: skip
_HOP_HEADERS = {"connection", "transfer-encoding", "date", "server"}  # not passed on


@dataclass(frozen=True)
class BuildScript:
    """Course of a build: success, unless the script makes it fail or stay in a phase."""

    fails_in: str = ""
    status: str = "FAILED"
    says: str = ""
    """Message of the failed phase."""
    log: Sequence[str] = ()
    """Lines that are in the log when the phase BUILD begins."""
    stays_in: str = ""
    pushes: Callable[[str], object] | None = None
    """Called with the image's tag after a successful phase BUILD."""


@dataclass(frozen=True)
class BuildMachine:
    """A machine that runs the commands of builds."""

    argv: Callable[..., list[str]]
    """Turns a command into one that reaches the stand-ins by AWS's host names."""
    env: Mapping[str, str]


@dataclass
class Build:
    """One build, as BatchGetBuilds reports it."""

    request: dict[str, Any]
    project: dict[str, Any]
    script: BuildScript
    id: str
    phases: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    status: str = "IN_PROGRESS"
    stopped: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[str] | None = None

    @property
    def stream(self) -> str:
        return self.id.partition(":")[2]

    def begin(self, phase: str) -> None:
        self.phases.append({"phaseType": phase, "startTime": time.time()})

    def end(self, status: str = "SUCCEEDED", says: str = "") -> None:
        contexts = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": says}] if says else []
        now = time.time()
        self.phases[-1] |= {
            "phaseStatus": status,
            "endTime": now,
            "durationInSeconds": int(now - self.phases[-1]["startTime"]),
            "contexts": contexts,
        }

    def shown(self, region: str, account: str) -> dict[str, Any]:
        group = self.project["logsConfig"]["cloudWatchLogs"]["groupName"]
        begun = any(phase["phaseType"] == "PROVISIONING" for phase in self.phases)
        logs = {"groupName": group, "streamName": self.stream} if begun else {}
        over = self.status != "IN_PROGRESS"
        return {
            "id": self.id,
            "arn": f"arn:aws:codebuild:{region}:{account}:build/{self.id}",
            "buildNumber": 1,
            "startTime": self.phases[0]["startTime"],
            **({"endTime": time.time()} if over else {}),
            "currentPhase": self.phases[-1]["phaseType"],
            "buildStatus": self.status,
            "projectName": self.project["name"],
            "phases": self.phases,
            "source": {**self.project["source"], **_source(self.request)},
            "artifacts": {"location": ""},
            "cache": {"type": "NO_CACHE"},
            "environment": self.project["environment"],
            "serviceRole": self.project["serviceRole"],
            "logs": logs,
            "timeoutInMinutes": self.project["timeoutInMinutes"],
            "queuedTimeoutInMinutes": self.project["queuedTimeoutInMinutes"],
            "buildComplete": over,
            "initiator": "tester",
        }


def _source(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "location": request["sourceLocationOverride"],
        "buildspec": request["buildspecOverride"],
    }


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
                _unpack(self._source_of(build), folder)
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


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """Unpack with the mode of each file, as unzip does."""
    archive.extractall(folder)
    for entry in archive.infolist():
        if mode := entry.external_attr >> 16 & 0o777:
            (folder / entry.filename).chmod(mode)


@contextmanager
def codebuild(region: str, keys: Keys) -> Iterator[CodeBuild]:
    """Run moto, and CodeBuild before it, on loopback ports."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        stand_in = CodeBuild(f"http://{host}:{port}", region, keys)
        with _serving(stand_in):
            yield stand_in
    finally:
        moto.stop()


@contextmanager
def _serving(stand_in: CodeBuild) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if "X-Amz-Target" not in self.headers:
                self._s3()
                return
            body = self._body()
            if stand_in.unanswered > 0:
                stand_in.unanswered -= 1
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request("POST", self.path, "", headers, body)
            operation = self.headers["X-Amz-Target"].removeprefix(TARGET)
            try:
                answer = json.dumps(stand_in.answer(request, operation, json.loads(body))).encode()
                self._send(200, {}, answer)
            except Refused as refused:
                # JSON 1.1 names the error in the body.
                error = {"__type": refused.kind, "message": refused.message}
                self._send(refused.status, refused.headers, json.dumps(error).encode())

        def _s3(self) -> None:
            body = self._body()
            path, _, query = self.path.lstrip("/").partition("?")
            bucket = path.partition("/")[0]
            owner = "someone" if bucket in stand_in.foreign_buckets else stand_in.account
            if self.headers.get("x-amz-expected-bucket-owner", owner) != owner:
                self._send(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
            elif query == "policy" and self.command == "PUT":
                stand_in.policies[bucket] = body
                self._send(204, {}, b"")
            elif query == "policy" and self.command == "GET":
                self._send(200, {"Content-Type": "application/json"}, stand_in.policies[bucket])
            else:
                self._send(*stand_in.moto_s3(self.command, self.path, dict(self.headers), body))

        do_GET = do_HEAD = do_PUT = do_DELETE = _s3

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in {name.lower() for name in headers}:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
