"""ECS: services whose tasks run, as processes; deployments that roll on, and back.

Of a task's lifecycle is imitated what a service on Fargate behind a load balancer meets (ECS
Developer Guide: task-lifecycle-explanation, deployment-type-ecs, deployment-circuit-breaker,
load-balancer-connection-draining). moto keeps clusters, definitions and services as they were
asked for; here is what becomes of them.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.backends import get_backend

from tests.lab.aws import balancers, logs
from tests.lab.aws.agentcore import grants
from tests.lab.aws.clock import Stopped
from tests.lab.aws.containers import Start
from tests.lab.aws.images import pull_in
from tests.lab.aws.server import Server
from tests.lab.aws.traffic import BALANCERS, Target, Traffic
from tests.lab.aws.wire import Request, Response
from tests.lab.aws.world import Call, World, new_caller
from tests.lab.models.refusal import Refused
from voicecore.local.ports import free_port

_TRUSTED = "ecs-tasks.amazonaws.com"
_STOP_SECONDS = 30.0  # where StopTimeout says nothing
_FAILURES_LEAST = 3  # that trip the circuit breaker, or half of the wanted tasks if those are more
_FAILURES_MOST = 200
_BY_US = "ServiceSchedulerInitiated"
_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_NEW_TASKS = ("taskDefinition", "networkConfiguration", "loadBalancers", "platformVersion")
_CHANGED = ("deploymentConfiguration", "healthCheckGracePeriodSeconds")
_LOOK_AGAIN = 0.05  # real seconds between a scheduler's looks


class _NotStarted(Exception):
    """Why a task's command could not be run."""


@dataclass(frozen=True)
class _Health:
    """A container's own health check; times in seconds."""

    command: Sequence[str]
    interval: float
    timeout: float
    retries: int
    start: float

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> _Health | None:
        if (given := container.get("healthCheck")) is None:
            return None
        how, *command = given["command"]
        command = ["sh", "-c", *command] if how == "CMD-SHELL" else command
        seconds = [float(given.get(n, d)) for n, d in (("interval", 30), ("timeout", 5))]
        return cls(
            command, *seconds, int(given.get("retries", 3)), float(given.get("startPeriod", 0))
        )


class Task:
    """One task of one container, from its start to its end."""

    def __init__(self, service: Service, deployment: Deployment) -> None:
        self.id = uuid.uuid4().hex
        self.service, self.deployment = service, deployment
        self.definition = service.definition(deployment.definition)
        self.status, self.wanted, self.health = "PROVISIONING", "RUNNING", "UNKNOWN"
        self.reason = self.stop_code = ""
        self.exit_code: int | None = None
        self.proven = False
        """Whether it has been healthy in all respects once."""
        self.times = {"createdAt": service.world.clock.now()}
        self.target: Target | None = None
        self.interface: dict[str, Any] = {}
        self.address = f"127.0.0.1:{free_port()}"
        self._since = 0.0

    @property
    def arn(self) -> str:
        place = self.service.arn.partition(":service/")[0]
        return f"{place}:task/{self.service.cluster}/{self.id}"

    @property
    def container(self) -> dict[str, Any]:
        return self.definition["containerDefinitions"][0]

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def healthy(self) -> bool:
        """Whether a deployment may count on it."""
        checked = "healthCheck" not in self.container or self.health == "HEALTHY"
        answers = self.target is None or self.target.state == "healthy"
        return self.running and self.wanted == "RUNNING" and checked and answers

    @property
    def failed(self) -> bool:
        """Whether it ended by itself before it was any good."""
        by_others = self.stop_code == "UserInitiated" or self.reason.startswith("Scaling")
        return self.status == "STOPPED" and not self.proven and not by_others

    def stop(self, code: str, reason: str) -> None:
        """It is to end; why, is told once."""
        if self.wanted == "RUNNING":
            self.wanted, self.stop_code, self.reason = "STOPPED", code, reason

    # In a thread of its own

    def run(self) -> None:
        """Live."""
        world, process = self.service.world, None
        self._turn("PENDING")
        try:
            try:
                env = self._prepare()
                world.clock.sleep(world.durations.task)
                start: Start = world.state["containers",]
                process = start(self.container.get("command", ()), env)
                reading = world.start(lambda: self._read(process), f"log of {self.id}")
                self._turn("RUNNING", "startedAt")
                self._since = world.clock.seconds()
                self._register()
                self._watch(process, env)
                self._deregister(process)
                self._turn("STOPPING", "stoppingAt")
                self._end(process)
                reading.join(5)
            except _NotStarted as error:
                self.stop("TaskFailedToStart", str(error))
            self._turn("DEPROVISIONING")
            self._give_back()
            self._turn("STOPPED", "stoppedAt")
        except Stopped:
            return
        except Exception as error:  # a bug of the stand-in, which the test must hear of
            world.bugs.append(error)
            self.stop("TaskFailedToStart", repr(error))
            self.status = "STOPPED"
        finally:
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def _turn(self, status: str, time: str = "") -> None:
        self.status = status
        if time:
            self.times[time] = self.service.world.clock.now()

    def _prepare(self) -> dict[str, str]:
        """Its network and its environment. Raises _NotStarted."""
        service, definition = self.service, self.definition
        network = service.settings["networkConfiguration"]["awsvpcConfiguration"]
        made = service.client("ec2").create_network_interface(
            SubnetId=network["subnets"][0], Groups=network.get("securityGroups", [])
        )
        self.interface = made["NetworkInterface"]
        for role in ("executionRoleArn", "taskRoleArn"):
            service.check_role(definition.get(role))
        service.check_image(self.container["image"], definition["executionRoleArn"])
        group = self.container["logConfiguration"]["options"]["awslogs-group"]
        if group not in get_backend("logs")[service.account][service.region].groups:
            raise _NotStarted(
                "ResourceInitializationError: failed to validate logger args: create stream has "
                "been retried 1 times: failed to create Cloudwatch log stream: "
                "ResourceNotFoundException: The specified log group does not exist."
            )
        host, _, port = self.address.partition(":")
        given = {e["name"]: e["value"] for e in self.container.get("environment", [])}
        secrets = {
            each["name"]: service.secret(each["valueFrom"], definition["executionRoleArn"])
            for each in self.container.get("secrets", [])
        }
        # A container has a network of its own, where its port is free and its neighbours are those
        # of the VPC. Here it is told another port, and that load balancers are its neighbours.
        return (
            {name: value.replace(service.vpc, BALANCERS) for name, value in given.items()}
            | secrets
            | service.role(definition["taskRoleArn"])
            | {"HOST": host, "PORT": port, "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
        )

    def _read(self, process: subprocess.Popen[str]) -> None:
        options = self.container["logConfiguration"]["options"]
        stream = f"{options['awslogs-stream-prefix']}/{self.container['name']}/{self.id}"
        service, group = self.service, options["awslogs-group"]
        assert process.stdout is not None
        for line in process.stdout:
            with service.world.lock:
                if group in get_backend("logs")[service.account][service.region].groups:
                    where = (service.account, service.region, group, stream)
                    logs.says(service.world, *where, (line.rstrip("\n"),), None)

    def _register(self) -> None:
        for group in self.service.groups():
            port = int(self.container["portMappings"][0]["containerPort"])
            self.target = self.service.traffic.register(
                group, self.interface["PrivateIpAddress"], port, self.address
            )
            self.service.say(f"registered 1 targets in (target-group {group.arn})")

    def _watch(self, process: subprocess.Popen[str], env: Mapping[str, str]) -> None:
        """Return when it is to end, or has ended by itself."""
        clock, health = self.service.world.clock, _Health.of(self.container)
        failed, due = 0, clock.seconds()
        while self.wanted == "RUNNING":
            if process.poll() is not None:
                self.stop("EssentialContainerExited", "Essential container in task exited")
            elif health and clock.seconds() >= due:
                good = self._asked(health, env)
                young = clock.seconds() - self._since < health.start
                failed = 0 if good else failed + (not young)
                if good:
                    self.health = "HEALTHY"
                elif failed >= health.retries:
                    self.health = "UNHEALTHY"
                    self.stop(_BY_US, "Task failed container health checks")
                share = 1.0 if good else self.service.world.durations.checks
                due = clock.seconds() + health.interval * share
            self._blame_target()
            self.proven = self.proven or self.healthy
            clock.sleep(0.0)
            time.sleep(_LOOK_AGAIN)

    def _asked(self, health: _Health, env: Mapping[str, str]) -> bool:
        """Whether the container's check is content, which asks it at its own port."""
        port = self.container["portMappings"][0]["containerPort"]
        command = [part.replace(f"127.0.0.1:{port}", self.address) for part in health.command]
        asking = self.service.world.state["containers",](command, env)
        try:
            asking.communicate(timeout=health.timeout)
        except subprocess.TimeoutExpired:
            asking.kill()
            asking.communicate()
        return asking.returncode == 0

    def _blame_target(self) -> None:
        grace = float(self.service.settings.get("healthCheckGracePeriodSeconds") or 0)
        if self.service.world.clock.seconds() - self._since < grace:
            return
        if self.target and self.target.state == "unhealthy":
            groups = ", ".join(group.arn for group in self.service.groups())
            why = f"Task failed ELB health checks in (target-group {groups})"
            self.stop(_BY_US, why)

    def _deregister(self, process: subprocess.Popen[str]) -> None:
        """Wait until nothing is under way to it."""
        target, service = self.target, self.service
        if target is None:
            return
        self._turn("DEACTIVATING")
        for group in service.groups():
            service.traffic.deregister(group, target)
            service.say(f"deregistered 1 targets in (target-group {group.arn})")
            service.say("has begun draining connections on 1 tasks.")
        service.world.clock.until(lambda: target.state == "unused" or process.poll() is not None)

    def _end(self, process: subprocess.Popen[str]) -> None:
        """SIGTERM and, where that does not do, SIGKILL."""
        clock = self.service.world.clock
        if process.poll() is None:
            process.terminate()
            end = clock.seconds() + float(self.container.get("stopTimeout", _STOP_SECONDS))
            while process.poll() is None and clock.seconds() < end:
                clock.sleep(0.0)
                time.sleep(_LOOK_AGAIN)
        if process.poll() is None:
            process.kill()
        code = process.wait()
        self.exit_code = code if code >= 0 else 128 - code

    def _give_back(self) -> None:
        id = self.interface["NetworkInterfaceId"]
        self.service.client("ec2").delete_network_interface(NetworkInterfaceId=id)

    # As DescribeTasks has it

    @property
    def known(self) -> dict[str, Any]:
        given, interface = self.container, self.interface
        ended = {} if self.exit_code is None else {"exitCode": self.exit_code}
        networks = [{"privateIpv4Address": interface["PrivateIpAddress"]}] if interface else []
        why = {"stopCode": self.stop_code, "stoppedReason": self.reason} if self.reason else {}
        return {
            "taskArn": self.arn,
            "clusterArn": self.service.cluster_arn,
            "taskDefinitionArn": self.deployment.definition,
            "group": f"service:{self.service.name}",
            "startedBy": self.deployment.id,
            "launchType": "FARGATE",
            "lastStatus": self.status,
            "desiredStatus": self.wanted,
            "healthStatus": self.health,
            "cpu": self.definition.get("cpu", ""),
            "memory": self.definition.get("memory", ""),
            "containers": [
                {
                    "name": given["name"],
                    "image": given["image"],
                    "taskArn": self.arn,
                    "lastStatus": self.status,
                    "healthStatus": self.health,
                    "networkInterfaces": networks,
                    **ended,
                }
            ],
            **self.times,
            **why,
        }


@dataclass(eq=False)
class Deployment:
    """What a service is to be or was, and its tasks."""

    definition: str
    created: datetime
    id: str = field(default_factory=lambda: f"ecs-svc/{secrets.randbelow(10**19):019d}")
    tasks: list[Task] = field(default_factory=list)
    failed: int = 0
    state: str = "IN_PROGRESS"
    reason: str = ""

    @property
    def alive(self) -> list[Task]:
        return [task for task in self.tasks if task.wanted == "RUNNING"]


class Service:
    """A service, and the scheduler that makes it what it is wanted to be."""

    def __init__(self, world: World, call: Call, arn: str, settings: dict[str, Any]) -> None:
        self.world, self._caller = world, call.caller
        self.account, self.region = call.place
        self.arn, self.settings = arn, settings
        self.cluster, self.name = arn.split("/")[-2:]
        self.cluster_arn = f"{arn.partition(':service/')[0]}:cluster/{self.cluster}"
        self.desired = int(settings["desiredCount"])
        self.status = "ACTIVE"
        self.events: list[dict[str, Any]] = []
        self.deployments: list[Deployment] = []
        self.past: list[Task] = []
        """All tasks that there were."""
        self.vpc = self._cidr()
        self._doors: dict[str, Server] = {}
        self.deploy(settings["taskDefinition"])

    @property
    def traffic(self) -> Traffic:
        return self.world.state["traffic",]

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    @property
    def tasks(self) -> list[Task]:
        return [task for deployment in self.deployments for task in deployment.tasks]

    def client(self, service: str) -> Any:
        """A client by which ECS does its part."""
        return self.world.client(service, self.region, self._caller, "ecs")

    def deploy(self, definition: str) -> None:
        """Begin to replace what there is by tasks of this definition."""
        found = self.definition(definition)["taskDefinitionArn"]
        made = Deployment(found, self.world.clock.now())
        made.reason = f"ECS deployment {made.id} in progress."
        self.deployments.insert(0, made)

    def say(self, text: str) -> None:
        """One event more, newest first."""
        with self.world.lock:
            message = f"(service {self.name}) {text}"
            event = {
                "id": str(uuid.uuid4()), "createdAt": self.world.clock.now(), "message": message,
            }  # fmt: skip
            self.events.insert(0, event)

    # What its tasks need

    def groups(self) -> list[Any]:
        """The target groups (moto's) of its tasks."""
        known = get_backend("elbv2")[self.account][self.region].target_groups
        given = [each["targetGroupArn"] for each in self.settings.get("loadBalancers", [])]
        return [known[arn] for arn in given if arn in known]

    def definition(self, name: str) -> dict[str, Any]:
        return self.client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]

    def _cidr(self) -> str:
        ec2 = self.client("ec2")
        (subnet, *_) = self.settings["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
        vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
        return ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]

    def check_role(self, arn: str | None) -> None:
        """Raise _NotStarted unless ECS may take this role for a task."""
        try:
            role = self.client("iam").get_role(RoleName=(arn or "").rpartition("/")[2])["Role"]
            trusted = _TRUSTED in json.dumps(role["AssumeRolePolicyDocument"])
        except ClientError:
            trusted = False
        if not trusted:
            raise _NotStarted(
                f"ECS was unable to assume the role '{arn}' that was provided for this task. "
                "Please verify that the role being passed has the proper trust relationship and "
                "permissions and that your IAM user has permissions to pass this role."
            )

    def check_image(self, image: str, role: str) -> None:
        """Raise _NotStarted unless it is in ECR, and the role may pull it."""
        name, _, digest = image.partition("/")[2].partition("@")
        arn = f"arn:aws:ecr:{self.region}:{self.account}:repository/{name}"
        actions = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
        if not self._may(role, {action: arn for action in actions}):
            raise _NotStarted(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                f"failed to resolve ref {image}: unexpected status from HEAD request: 403 Forbidden"
            )
        with self.world.lock:
            pull_in(self.world, self.account, self.region)
            found = get_backend("ecr")[self.account][self.region].repositories.get(name)
            known = {each.get_image_digest() for each in found.images} if found else set()
        if digest not in known:
            raise _NotStarted(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                f"failed to resolve ref {image}: {image}: not found"
            )

    def secret(self, where: str, role: str) -> str:
        """A secret's value: arn[:key[:stage[:version]]]. Raises _NotStarted."""
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
        raise _NotStarted(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution "
            "resource retrieval failed: unable to retrieve secret from asm: service call has been "
            f"retried 1 time(s): failed to fetch secret {arn} from secrets manager: {why}"
        )

    def _may(self, role: str, actions: Mapping[str, str]) -> bool:
        iam, name = self.client("iam"), role.rpartition("/")[2]
        return all(grants(iam, name, action, arn) for action, arn in actions.items())

    def role(self, arn: str) -> dict[str, str]:
        """The variable by which any SDK gets keys of the task's role."""
        if arn not in self._doors:
            server = Server(lambda request: self._keys(arn, request))
            self.world.start(lambda: server.serve_forever(0.05), f"keys of {arn}")
            self._doors[arn] = server
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._doors[arn].url}/v2/credentials"}

    def _keys(self, arn: str, request: Request) -> Response:
        made = new_caller(self.account, arn.rpartition("/")[2])
        self.world.callers[made.access_key_id] = made
        document = {
            "RoleArn": arn,
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.session_token,
            "Expiration": "2099-01-01T00:00:00Z",
        }
        return Response(200, json.dumps(document).encode(), {"content-type": "application/json"})

    def close(self) -> None:
        """End what it serves itself."""
        for server in self._doors.values():
            server.shutdown()
            server.server_close()
        self._doors.clear()

    # The scheduler, in a thread of its own

    def run(self) -> None:
        """Schedule until the service is gone."""
        clock = self.world.clock
        try:
            while self.status != "INACTIVE":
                with self.world.lock:
                    self._look()
                clock.sleep(0.0)
                time.sleep(_LOOK_AGAIN)
        except Stopped:
            return
        except Exception as error:  # a bug of the stand-in, which the test must hear of
            self.world.bugs.append(error)
        finally:
            self.close()

    def _look(self) -> None:
        """One look at what there is, and what follows of it."""
        if self.status == "DRAINING":
            if all(task.status == "STOPPED" for task in self.tasks):
                self.status = "INACTIVE"
            return
        primary = self.primary
        if primary.state == "IN_PROGRESS":
            primary.failed = sum(task.failed for task in primary.tasks)
            if self._broken(primary):
                self._fail(primary)
        if self.primary.state != "FAILED":
            self._start(self.primary)
        self._stop_surplus()
        self._complete()

    def _broken(self, deployment: Deployment) -> bool:
        breaker = self._configured("deploymentCircuitBreaker", {})
        most = min(_FAILURES_MOST, max(_FAILURES_LEAST, -(-self.desired // 2)))
        return bool(breaker.get("enable")) and deployment.failed >= most

    def _fail(self, deployment: Deployment) -> None:
        deployment.state = "FAILED"
        deployment.reason = "ECS deployment circuit breaker: tasks failed to start."
        self.say(f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
        self._stop(deployment.alive)
        before = next((d for d in self.deployments if d.state == "COMPLETED"), None)
        if before and self._configured("deploymentCircuitBreaker", {}).get("rollback"):
            # With the tasks that it still has.
            self.deployments.remove(before)
            self.deployments.insert(0, before)
            before.state = "IN_PROGRESS"
            self.settings["taskDefinition"] = before.definition
            why = f"ECS deployment circuit breaker: rolling back to deploymentId {before.id}."
            deployment.reason = f"{deployment.reason} {why}"
            self.say(f"rolling back to deployment {before.id}.")

    def _start(self, deployment: Deployment) -> None:
        """As many tasks as are missing, and as may be beside the others."""
        alive = sum(len(each.alive) for each in self.deployments)
        most = self.desired * int(self._configured("maximumPercent", 200)) // 100
        for _ in range(min(self.desired - len(deployment.alive), most - alive)):
            task = Task(self, deployment)
            deployment.tasks.append(task)
            self.past.append(task)
            self.say(f"has started 1 tasks: (task {task.id}).")
            self.world.start(task.run, f"task {task.id}")

    def _stop_surplus(self) -> None:
        """What the newest deployment is not to have, and of older ones what it stands in for."""
        if self.primary.state == "FAILED":
            return
        self._stop(self.primary.alive[self.desired :])
        least = -(-self.desired * int(self._configured("minimumHealthyPercent", 100)) // 100)
        healthy = sum(task.healthy for task in self.tasks)
        for task in [t for each in self.deployments[1:] for t in each.alive]:
            if healthy - task.healthy >= least:
                healthy -= task.healthy
                self._stop([task])

    def _stop(self, tasks: list[Task]) -> None:
        for task in tasks:
            why = f"Scaling activity initiated by (deployment {self.primary.id})"
            task.stop(_BY_US, why)
            self.say(f"has stopped 1 running tasks: (task {task.id}).")

    def _complete(self) -> None:
        """The newest deployment is over when it is up, and what was before it has gone."""
        primary = self.primary
        gone = all(t.status == "STOPPED" for each in self.deployments[1:] for t in each.tasks)
        up = sum(task.healthy for task in primary.alive) == self.desired
        if primary.state != "IN_PROGRESS" or not up or not gone:
            return
        primary.state = "COMPLETED"
        primary.reason = f"ECS deployment {primary.id} completed."
        self.deployments = [d for d in self.deployments if d is primary or d.state == "FAILED"]
        self.say(f"(deployment {primary.id}) deployment completed.")
        self.say("has reached a steady state.")

    def _configured(self, name: str, default: Any) -> Any:
        return self.settings.get("deploymentConfiguration", {}).get(name, default)

    # As DescribeServices has it

    def described(self, motos: dict[str, Any]) -> dict[str, Any]:
        """What is so, over what moto has of it."""
        return motos | {
            "status": self.status,
            "taskDefinition": self.primary.definition,
            "desiredCount": self.desired,
            "runningCount": sum(task.running for task in self.tasks),
            "pendingCount": sum(task.status in _PENDING for task in self.tasks),
            "deploymentConfiguration": self.settings.get("deploymentConfiguration", {}),
            "deployments": [self._deployment(each) for each in self.deployments],
            "events": self.events[:100],
        }

    def _deployment(self, it: Deployment) -> dict[str, Any]:
        return {
            "id": it.id,
            "status": "PRIMARY" if it is self.primary else "ACTIVE",
            "taskDefinition": it.definition,
            "desiredCount": self.desired if it is self.primary else len(it.alive),
            "runningCount": sum(task.running for task in it.tasks),
            "pendingCount": sum(task.status in _PENDING for task in it.tasks),
            "failedTasks": it.failed,
            "createdAt": it.created,
            "updatedAt": it.created,
            "launchType": "FARGATE",
            "networkConfiguration": self.settings["networkConfiguration"],
            "rolloutState": it.state,
            "rolloutStateReason": it.reason,
        }


# What is asked of ECS


def _services(world: World, call: Call) -> dict[str, Service]:
    """Those of the place, by ARN."""
    return world.of(dict, "services", *call.place)


def _cluster(call: Call, name: str | None) -> str:
    return (name or "default").rpartition("/")[2]


def _find(world: World, call: Call, name: str) -> Service | None:
    cluster = _cluster(call, call.params.get("cluster"))
    found = [
        each
        for each in _services(world, call).values()
        if each.cluster == cluster and name in (each.name, each.arn)
    ]
    return found[0] if found else None


def create_service(world: World, call: Call) -> dict[str, Any]:
    balancers.require_entered(call)
    answer = call.moto()
    if "containers" not in _of(world):
        return answer
    made = answer["service"]
    service = Service(world, call, made["serviceArn"], {"desiredCount": 1} | call.params)
    _services(world, call)[service.arn] = service
    world.start(service.run, f"service {service.name}")
    return {"service": service.described(made)}


def update_service(world: World, call: Call) -> dict[str, Any]:
    answer = call.moto()
    service = _find(world, call, call.params["service"])
    if service is None:
        return answer
    p, before = call.params, dict(service.settings)
    service.settings |= {k: v for k, v in p.items() if k in _CHANGED or k in _NEW_TASKS}
    service.desired = int(p.get("desiredCount", service.desired))
    changed = any(before.get(name) != service.settings.get(name) for name in _NEW_TASKS)
    service.deployments = [
        d for d in service.deployments if d.state != "FAILED" or d is service.primary or d.alive
    ]
    if changed or p.get("forceNewDeployment") or service.primary.state == "FAILED":
        service.deploy(service.settings["taskDefinition"])
    return {"service": service.described(answer["service"])}


def delete_service(world: World, call: Call) -> dict[str, Any]:
    answer = call.moto()
    service = _find(world, call, call.params["service"])
    if service is None:
        return answer
    service.status, service.desired = "DRAINING", 0
    for task in service.tasks:
        task.stop(_BY_US, "Service is being deleted")
    return {"service": service.described(answer["service"])}


def describe_services(world: World, call: Call) -> dict[str, Any]:
    answer = call.moto()
    known = _services(world, call)
    answer["services"] = [
        known[each["serviceArn"]].described(each) if each["serviceArn"] in known else each
        for each in answer["services"]
    ]
    return answer


def list_tasks(world: World, call: Call) -> dict[str, Any]:
    p, cluster = call.params, _cluster(call, call.params.get("cluster"))
    wanted = p.get("desiredStatus", "RUNNING")
    name = p.get("serviceName", "").rpartition("/")[2]
    return {
        "taskArns": [
            task.arn
            for service in _services(world, call).values()
            if service.cluster == cluster and (not name or service.name == name)
            for task in service.past
            if task.wanted == wanted
        ]
    }


def describe_tasks(world: World, call: Call) -> dict[str, Any]:
    tasks = {t.id: t for service in _services(world, call).values() for t in service.past}
    ids = [arn.rpartition("/")[2] for arn in call.params["tasks"]]
    failures = [{"arn": id, "reason": "MISSING"} for id in ids if id not in tasks]
    return {"tasks": [tasks[id].known for id in ids if id in tasks], "failures": failures}


def stop_task(world: World, call: Call) -> dict[str, Any]:
    id = call.params["task"].rpartition("/")[2]
    for service in _services(world, call).values():
        for task in service.tasks:
            if task.id == id:
                task.stop("UserInitiated", call.params.get("reason", "Task stopped by user"))
                return {"task": task.known}
    raise Refused("InvalidParameterException", "The referenced task was not found.", 400)


def delete_cluster(world: World, call: Call) -> dict[str, Any]:
    name = _cluster(call, call.params["cluster"])
    mine = [each for each in _services(world, call).values() if each.cluster == name]
    if any(each.status != "INACTIVE" for each in mine):
        message = "The Cluster cannot be deleted while Services are active."
        raise Refused("ClusterContainsServicesException", message, 400)
    return call.moto()


def _of(world: World) -> set[str]:
    return {key[0] for key in world.state}


HANDLERS = {
    ("ecs", "CreateService"): create_service,
    ("ecs", "UpdateService"): update_service,
    ("ecs", "DeleteService"): delete_service,
    ("ecs", "DescribeServices"): describe_services,
    ("ecs", "ListTasks"): list_tasks,
    ("ecs", "DescribeTasks"): describe_tasks,
    ("ecs", "StopTask"): stop_task,
    ("ecs", "DeleteCluster"): delete_cluster,
}
