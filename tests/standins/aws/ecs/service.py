"""Owns ECS services: their scheduler, rolling deployments and the circuit breaker.

ECS Developer Guide: deployment-type-ecs, deployment-circuit-breaker. moto stores services as they
were requested; here are their tasks.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.clock import Stopped
from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.ecs.task import BY_SCHEDULER, Task
from tests.standins.aws.ecs.task_resources import TaskResources
from tests.standins.aws.services.load_balancing.traffic import Traffic

_FAILURES_MIN = 3  # failures that trip the circuit breaker, or half of the desired tasks if more
_FAILURES_MAX = 200
_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_NEW_TASKS = ("taskDefinition", "networkConfiguration", "loadBalancers", "platformVersion")
_CHANGED = ("deploymentConfiguration", "healthCheckGracePeriodSeconds")
_POLL_SECONDS = 0.05  # seconds


@dataclass(eq=False)
class Deployment:
    """One deployment of a service, and its tasks."""

    definition: str
    created: datetime
    id: str = field(default_factory=lambda: f"ecs-svc/{secrets.randbelow(10**19):019d}")
    tasks: list[Task] = field(default_factory=list)
    failed: int = 0
    state: str = "IN_PROGRESS"
    reason: str = ""

    @property
    def alive(self) -> list[Task]:
        return [task for task in self.tasks if task.desired_status == "RUNNING"]


class Service:
    """A service, and its scheduler."""

    def __init__(self, cloud: Cloud, call: Call, arn: str, settings: dict[str, Any]) -> None:
        self.cloud, self.resources = cloud, TaskResources(cloud, call.caller, call.region)
        self.arn, self.settings = arn, settings
        self.cluster, self.name = arn.split("/")[-2:]
        self.cluster_arn = f"{arn.partition(':service/')[0]}:cluster/{self.cluster}"
        self.desired = int(settings["desiredCount"])
        self.status = "ACTIVE"
        self.events: list[dict[str, Any]] = []
        self.deployments: list[Deployment] = []
        self.past: list[Task] = []
        """All tasks, stopped ones included."""
        self.vpc = self.resources.cidr_of(self.network["subnets"][0])
        self.deploy(settings["taskDefinition"])

    @property
    def traffic(self) -> Traffic:
        return self.cloud.state["traffic",]

    @property
    def network(self) -> dict[str, Any]:
        """Its subnets and security groups."""
        return self.settings["networkConfiguration"]["awsvpcConfiguration"]

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    @property
    def tasks(self) -> list[Task]:
        return [task for deployment in self.deployments for task in deployment.tasks]

    def deploy(self, definition: str) -> None:
        """Start to replace the tasks by tasks of this definition."""
        found = self.definition(definition)["taskDefinitionArn"]
        deployment = Deployment(found, self.cloud.clock.now())
        deployment.reason = f"ECS deployment {deployment.id} in progress."
        self.deployments.insert(0, deployment)

    def add_event(self, text: str) -> None:
        """Add an event; the newest is first."""
        with self.cloud.lock:
            message = f"(service {self.name}) {text}"
            event = {
                "id": str(uuid.uuid4()), "createdAt": self.cloud.clock.now(), "message": message,
            }  # fmt: skip
            self.events.insert(0, event)

    # ---- read by its tasks

    def groups(self) -> list[Any]:
        """Return the target groups, from moto, of its tasks."""
        known = get_backend("elbv2")[self.resources.account][self.resources.region].target_groups
        given = [each["targetGroupArn"] for each in self.settings.get("loadBalancers", [])]
        return [known[arn] for arn in given if arn in known]

    def definition(self, name: str) -> dict[str, Any]:
        """Return the task definition with this name or ARN."""
        return self.resources.client("ecs").describe_task_definition(taskDefinition=name)[
            "taskDefinition"
        ]

    # ---- the scheduler, in its own thread

    def run(self) -> None:
        """Schedule until the service is deleted."""
        clock = self.cloud.clock
        try:
            while self.status != "INACTIVE":
                with self.cloud.lock:
                    self._step()
                clock.sleep(_POLL_SECONDS)
        except Stopped:
            return
        except Exception as error:  # a bug of the stand-in: the test must fail
            self.cloud.bugs.append(error)
        finally:
            self.resources.close()

    def _step(self) -> None:
        """Do one step of scheduling."""
        if self.status == "DRAINING":
            if all(task.status == "STOPPED" for task in self.past):
                self.status = "INACTIVE"
            return
        primary = self.primary
        if primary.state == "IN_PROGRESS":
            primary.failed = sum(task.failed for task in primary.tasks)
            if self._is_broken(primary):
                self._fail(primary)
        if self.primary.state != "FAILED":
            self._start(self.primary)
        self._stop_surplus()
        self._complete()

    def _is_broken(self, deployment: Deployment) -> bool:
        breaker = self._configured("deploymentCircuitBreaker", {})
        limit = min(_FAILURES_MAX, max(_FAILURES_MIN, -(-self.desired // 2)))
        return bool(breaker.get("enable")) and deployment.failed >= limit

    def _fail(self, deployment: Deployment) -> None:
        deployment.state = "FAILED"
        deployment.reason = "ECS deployment circuit breaker: tasks failed to start."
        self.add_event(f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
        self._stop(deployment.alive)
        before = next((d for d in self.deployments if d.state == "COMPLETED"), None)
        if before and self._configured("deploymentCircuitBreaker", {}).get("rollback"):
            # It keeps its remaining tasks.
            self.deployments.remove(before)
            self.deployments.insert(0, before)
            before.state = "IN_PROGRESS"
            self.settings["taskDefinition"] = before.definition
            reason = f"ECS deployment circuit breaker: rolling back to deploymentId {before.id}."
            deployment.reason = f"{deployment.reason} {reason}"
            self.add_event(f"rolling back to deployment {before.id}.")

    def _start(self, deployment: Deployment) -> None:
        """Start the missing tasks, as far as maximumPercent allows."""
        alive = sum(len(each.alive) for each in self.deployments)
        limit = self.desired * int(self._configured("maximumPercent", 200)) // 100
        for _ in range(min(self.desired - len(deployment.alive), limit - alive)):
            task = Task(self, deployment)
            deployment.tasks.append(task)
            self.past.append(task)
            self.add_event(f"has started 1 tasks: (task {task.id}).")
            self.cloud.start(task.run, f"task {task.id}")

    def _stop_surplus(self) -> None:
        """Stop surplus tasks, and old ones as far as minimumHealthyPercent allows."""
        if self.primary.state == "FAILED":
            return
        self._stop(self.primary.alive[self.desired :])
        minimum = -(-self.desired * int(self._configured("minimumHealthyPercent", 100)) // 100)
        healthy = sum(task.healthy for task in self.tasks)
        for task in [t for each in self.deployments[1:] for t in each.alive]:
            if healthy - task.healthy >= minimum:
                healthy -= task.healthy
                self._stop([task])

    def _stop(self, tasks: list[Task]) -> None:
        for task in tasks:
            reason = f"Scaling activity initiated by (deployment {self.primary.id})"
            task.stop(BY_SCHEDULER, reason)
            self.add_event(f"has stopped 1 running tasks: (task {task.id}).")

    def _complete(self) -> None:
        """Complete the deployment when its tasks are healthy and all older ones have stopped."""
        primary = self.primary
        gone = all(t.status == "STOPPED" for t in self.past if t.deployment is not primary)
        healthy = sum(task.healthy for task in primary.alive) == self.desired
        if primary.state != "IN_PROGRESS" or not healthy or not gone:
            return
        primary.state = "COMPLETED"
        primary.reason = f"ECS deployment {primary.id} completed."
        self.deployments = [d for d in self.deployments if d is primary or d.state == "FAILED"]
        self.add_event(f"(deployment {primary.id}) deployment completed.")
        self.add_event("has reached a steady state.")

    def _configured(self, name: str, default: Any) -> Any:
        return self.settings.get("deploymentConfiguration", {}).get(name, default)

    # ---- DescribeServices

    def described(self, stored: dict[str, Any]) -> dict[str, Any]:
        """Return moto's description with the real state."""
        return stored | {
            "status": self.status,
            "taskDefinition": self.primary.definition,
            "desiredCount": self.desired,
            "runningCount": sum(task.running for task in self.tasks),
            "pendingCount": sum(task.status in _PENDING for task in self.tasks),
            "deploymentConfiguration": self.settings.get("deploymentConfiguration", {}),
            "deployments": [self._deployment(each) for each in self.deployments],
            "events": self.events[:100],
        }

    def _deployment(self, deployment: Deployment) -> dict[str, Any]:
        return {
            "id": deployment.id,
            "status": "PRIMARY" if deployment is self.primary else "ACTIVE",
            "taskDefinition": deployment.definition,
            "desiredCount": self.desired if deployment is self.primary else len(deployment.alive),
            "runningCount": sum(task.running for task in deployment.tasks),
            "pendingCount": sum(task.status in _PENDING for task in deployment.tasks),
            "failedTasks": deployment.failed,
            "createdAt": deployment.created,
            "updatedAt": deployment.created,
            "launchType": "FARGATE",
            "networkConfiguration": self.settings["networkConfiguration"],
            "rolloutState": deployment.state,
            "rolloutStateReason": deployment.reason,
        }

    # ---- changes

    def change(self, given: Mapping[str, Any]) -> None:
        """Apply UpdateService, with a new deployment if the tasks must change."""
        before = dict(self.settings)
        self.settings |= {k: v for k, v in given.items() if k in _CHANGED or k in _NEW_TASKS}
        self.desired = int(given.get("desiredCount", self.desired))
        changed = any(before.get(name) != self.settings.get(name) for name in _NEW_TASKS)
        primary = self.primary
        self.deployments = [d for d in self.deployments if d.state != "FAILED" or d is primary]
        if changed or given.get("forceNewDeployment") or primary.state == "FAILED":
            self.deploy(self.settings["taskDefinition"])

    def delete(self) -> None:
        """Stop all tasks; the service ends with the last of them."""
        self.status, self.desired = "DRAINING", 0
        for task in self.past:
            task.stop(BY_SCHEDULER, "Service is being deleted")
