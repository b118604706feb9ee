"""Owns ECS tasks: processes with the environment, network and health checks of their definition.

The lifecycle is that of a Fargate service behind a load balancer (ECS Developer Guide:
task-lifecycle-explanation, load-balancer-connection-draining).
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.backends import get_backend

from tests.ports import free_port
from tests.standins.aws.clock import Stopped
from tests.standins.aws.ecs.task_resources import TaskStartFailed
from tests.standins.aws.services import logs
from tests.standins.aws.services.lambda_functions.containers import Start
from tests.standins.aws.services.load_balancing.traffic import LOAD_BALANCER_HOST, Target

if TYPE_CHECKING:
    from tests.standins.aws.ecs.service import Deployment, Service

BY_SCHEDULER = "ServiceSchedulerInitiated"
"""Stop code of tasks that the service's scheduler stops."""

_STOP_SECONDS = 30.0  # default of StopTimeout
_POLL_SECONDS = 0.05  # seconds
# Real processes start on the machine of the tests, which may have much else to do.
_PATIENCE = 4


@dataclass(frozen=True)
class _Health:
    """The health check of a container; times in seconds."""

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
        return cls(
            command,
            interval=float(given.get("interval", 30)),
            timeout=float(given.get("timeout", 5)),
            retries=int(given.get("retries", 3)),
            start=_PATIENCE * float(given.get("startPeriod", 0)),
        )


class Task:
    """One task with one container, from its start to its end."""

    def __init__(self, service: Service, deployment: Deployment) -> None:
        self.id = uuid.uuid4().hex
        self.service, self.deployment = service, deployment
        self.definition = service.definition(deployment.definition)
        self.status, self.desired_status, self.health = "PROVISIONING", "RUNNING", "UNKNOWN"
        self.reason = self.stop_code = ""
        self.exit_code: int | None = None
        self.was_healthy = False
        """True once it has been healthy."""
        self.times = {"createdAt": service.cloud.clock.now()}
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
        """True when a deployment may count it as healthy."""
        checked = "healthCheck" not in self.container or self.health == "HEALTHY"
        answers = self.target is None or self.target.state == "healthy"
        return self.running and self.desired_status == "RUNNING" and checked and answers

    @property
    def failed(self) -> bool:
        """True when it stopped by itself before it was ever healthy."""
        by_others = self.stop_code == "UserInitiated" or self.reason.startswith("Scaling")
        return self.status == "STOPPED" and not self.was_healthy and not by_others

    def stop(self, code: str, reason: str) -> None:
        """Ask it to stop; only the first reason is kept."""
        if self.desired_status == "RUNNING":
            self.desired_status, self.stop_code, self.reason = "STOPPED", code, reason

    # ---- its life, in its own thread

    def run(self) -> None:
        """Run the task to its end."""
        cloud, process = self.service.cloud, None
        self._set_status("PENDING")
        try:
            try:
                env = self._prepare()
                cloud.clock.sleep(cloud.durations.task)
                start: Start = cloud.state["containers",]
                process = start(self.container.get("command", ()), env)
                reader = cloud.start(lambda: self._read(process), f"log of {self.id}")
                self._set_status("RUNNING", "startedAt")
                self._since = cloud.clock.seconds()
                self._register()
                self._watch(process, env)
                self._deregister(process)
                self._set_status("STOPPING", "stoppingAt")
                self._terminate(process)
                reader.join(5)
            except TaskStartFailed as error:
                self.stop("TaskFailedToStart", str(error))
            self._set_status("DEPROVISIONING")
            self._delete_interface()
            self._set_status("STOPPED", "stoppedAt")
        except Stopped:
            return
        except Exception as error:  # a bug of the stand-in: the test must fail
            cloud.bugs.append(error)
            self.stop("TaskFailedToStart", repr(error))
            self.status = "STOPPED"
        finally:
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def _set_status(self, status: str, time: str = "") -> None:
        self.status = status
        if time:
            self.times[time] = self.service.cloud.clock.now()

    def _prepare(self) -> dict[str, str]:
        """Create its network interface and return its environment. Raises TaskStartFailed."""
        resources, definition = self.service.resources, self.definition
        network = self.service.network
        made = resources.client("ec2").create_network_interface(
            SubnetId=network["subnets"][0], Groups=network.get("securityGroups", [])
        )
        self.interface = made["NetworkInterface"]
        for role in ("executionRoleArn", "taskRoleArn"):
            resources.check_role(definition.get(role))
        resources.check_image(self.container["image"], definition["executionRoleArn"])
        resources.check_log(self.container["logConfiguration"]["options"]["awslogs-group"])
        host, _, port = self.address.partition(":")
        given = {e["name"]: e["value"] for e in self.container.get("environment", [])}
        secrets = {
            each["name"]: resources.secret(each["valueFrom"], definition["executionRoleArn"])
            for each in self.container.get("secrets", [])
        }
        # In AWS a container has its own network, where its port is free and proxies are in the VPC.
        # Here it gets another port, and the load balancers' address instead of the VPC's.
        return (
            {
                name: value.replace(self.service.vpc, LOAD_BALANCER_HOST)
                for name, value in given.items()
            }
            | secrets
            | resources.credentials_for(definition["taskRoleArn"])
            | {"HOST": host, "PORT": port, "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}
        )

    def _read(self, process: subprocess.Popen[str]) -> None:
        options = self.container["logConfiguration"]["options"]
        stream = f"{options['awslogs-stream-prefix']}/{self.container['name']}/{self.id}"
        cloud, resources, group = (
            self.service.cloud,
            self.service.resources,
            options["awslogs-group"],
        )
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                with cloud.lock:
                    if group in get_backend("logs")[resources.account][resources.region].groups:
                        location = (resources.account, resources.region, group, stream)
                        logs.write_lines(cloud, *location, (line.rstrip("\n"),), None)

    def _register(self) -> None:
        for group in self.service.groups():
            port = int(self.container["portMappings"][0]["containerPort"])
            self.target = self.service.traffic.register(
                group, self.interface["PrivateIpAddress"], port, self.address
            )
            self.service.add_event(f"registered 1 targets in (target-group {group.arn})")

    def _watch(self, process: subprocess.Popen[str], env: Mapping[str, str]) -> None:
        """Return when it is asked to stop, or has ended by itself."""
        clock, health = self.service.cloud.clock, _Health.of(self.container)
        failed, due = 0, clock.seconds()
        while self.desired_status == "RUNNING":
            if process.poll() is not None:
                self.stop("EssentialContainerExited", "Essential container in task exited")
            elif health and clock.seconds() >= due:
                good = self._check_health(health, env)
                starting = clock.seconds() - self._since < health.start
                failed = 0 if good else failed + (not starting)
                if good:
                    self.health = "HEALTHY"
                elif failed >= health.retries:
                    self.health = "UNHEALTHY"
                    self.stop(BY_SCHEDULER, "Task failed container health checks")
                share = 1.0 if good else self.service.cloud.durations.checks
                due = clock.seconds() + health.interval * share
            self._check_target()
            self.was_healthy = self.was_healthy or self.healthy
            clock.sleep(_POLL_SECONDS)

    def _check_health(self, health: _Health, env: Mapping[str, str]) -> bool:
        """Return True when the container's health check, pointed to its port, succeeds."""
        port = self.container["portMappings"][0]["containerPort"]
        command = [part.replace(f"127.0.0.1:{port}", self.address) for part in health.command]
        process = self.service.cloud.state["containers",](command, env)
        try:
            process.communicate(timeout=health.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return process.returncode == 0

    def _check_target(self) -> None:
        given = self.service.settings.get("healthCheckGracePeriodSeconds") or 0
        grace = _PATIENCE * float(given)
        if self.service.cloud.clock.seconds() - self._since < grace:
            return
        if self.target and self.target.state == "unhealthy":
            groups = ", ".join(group.arn for group in self.service.groups())
            reason = f"Task failed ELB health checks in (target-group {groups})"
            self.stop(BY_SCHEDULER, reason)

    def _deregister(self, process: subprocess.Popen[str]) -> None:
        """Deregister it, and wait until it is drained."""
        target, service = self.target, self.service
        if target is None:
            return
        self._set_status("DEACTIVATING")
        for group in service.groups():
            service.traffic.deregister(group, target)
            service.add_event(f"deregistered 1 targets in (target-group {group.arn})")
            service.add_event("has begun draining connections on 1 tasks.")
        service.cloud.clock.until(lambda: target.state == "unused" or process.poll() is not None)

    def _terminate(self, process: subprocess.Popen[str]) -> None:
        """Send SIGTERM and, after StopTimeout, SIGKILL."""
        clock = self.service.cloud.clock
        if process.poll() is None:
            process.terminate()
            end = clock.seconds() + float(self.container.get("stopTimeout", _STOP_SECONDS))
            while process.poll() is None and clock.seconds() < end:
                clock.sleep(_POLL_SECONDS)
        if process.poll() is None:
            process.kill()
        code = process.wait()
        self.exit_code = code if code >= 0 else 128 - code

    def _delete_interface(self) -> None:
        id = self.interface["NetworkInterfaceId"]
        self.service.resources.client("ec2").delete_network_interface(NetworkInterfaceId=id)

    # ---- DescribeTasks

    @property
    def described(self) -> dict[str, Any]:
        given, interface = self.container, self.interface
        ended = {} if self.exit_code is None else {"exitCode": self.exit_code}
        networks = [{"privateIpv4Address": interface["PrivateIpAddress"]}] if interface else []
        reason = {"stopCode": self.stop_code, "stoppedReason": self.reason} if self.reason else {}
        return {
            "taskArn": self.arn,
            "clusterArn": self.service.cluster_arn,
            "taskDefinitionArn": self.deployment.definition,
            "group": f"service:{self.service.name}",
            "startedBy": self.deployment.id,
            "launchType": "FARGATE",
            "lastStatus": self.status,
            "desiredStatus": self.desired_status,
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
            **reason,
        }
