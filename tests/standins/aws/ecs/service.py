"""ECS: services, deployments that roll on, and back, and the scheduler that does that.

ECS Developer Guide: deployment-type-ecs, deployment-circuit-breaker. moto keeps services as they
were asked for; here is what becomes of them.
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
from tests.standins.aws.services.traffic import Traffic

_FAILURES_LEAST = 3  # that trip the circuit breaker, or half of the wanted tasks if those are more
_FAILURES_MOST = 200
_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_NEW_TASKS = ("taskDefinition", "networkConfiguration", "loadBalancers", "platformVersion")
_CHANGED = ("deploymentConfiguration", "healthCheckGracePeriodSeconds")
_POLL_SECONDS = 0.05  # seconds


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
        """All tasks that there were."""
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
        """Begin to replace what there is by tasks of this definition."""
        found = self.definition(definition)["taskDefinitionArn"]
        made = Deployment(found, self.cloud.clock.now())
        made.reason = f"ECS deployment {made.id} in progress."
        self.deployments.insert(0, made)

    def say(self, text: str) -> None:
        """One event more, newest first."""
        with self.cloud.lock:
            message = f"(service {self.name}) {text}"
            event = {
                "id": str(uuid.uuid4()), "createdAt": self.cloud.clock.now(), "message": message,
            }  # fmt: skip
            self.events.insert(0, event)

    # What its tasks need

    def groups(self) -> list[Any]:
        """The target groups (moto's) of its tasks."""
        known = get_backend("elbv2")[self.resources.account][self.resources.region].target_groups
        given = [each["targetGroupArn"] for each in self.settings.get("loadBalancers", [])]
        return [known[arn] for arn in given if arn in known]

    def definition(self, name: str) -> dict[str, Any]:
        """The task definition of this name or ARN."""
        return self.resources.client("ecs").describe_task_definition(taskDefinition=name)[
            "taskDefinition"
        ]

    # The scheduler, in a thread of its own

    def run(self) -> None:
        """Schedule until the service is gone."""
        clock = self.cloud.clock
        try:
            while self.status != "INACTIVE":
                with self.cloud.lock:
                    self._look()
                clock.sleep(_POLL_SECONDS)
        except Stopped:
            return
        except Exception as error:  # a bug of the stand-in, which the test must hear of
            self.cloud.bugs.append(error)
        finally:
            self.resources.close()

    def _look(self) -> None:
        """One look at what there is, and what follows of it."""
        if self.status == "DRAINING":
            if all(task.status == "STOPPED" for task in self.past):
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
            self.cloud.start(task.run, f"task {task.id}")

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
            task.stop(BY_SCHEDULER, why)
            self.say(f"has stopped 1 running tasks: (task {task.id}).")

    def _complete(self) -> None:
        """The newest deployment is over when it is up, and what was before it has gone."""
        primary = self.primary
        gone = all(t.status == "STOPPED" for t in self.past if t.deployment is not primary)
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

    # What is asked of it

    def change(self, given: Mapping[str, Any]) -> None:
        """Be what UpdateService says, by a new deployment where that takes other tasks."""
        before = dict(self.settings)
        self.settings |= {k: v for k, v in given.items() if k in _CHANGED or k in _NEW_TASKS}
        self.desired = int(given.get("desiredCount", self.desired))
        changed = any(before.get(name) != self.settings.get(name) for name in _NEW_TASKS)
        primary = self.primary
        self.deployments = [d for d in self.deployments if d.state != "FAILED" or d is primary]
        if changed or given.get("forceNewDeployment") or primary.state == "FAILED":
            self.deploy(self.settings["taskDefinition"])

    def delete(self) -> None:
        """Have no tasks any more, and end when the last of them has."""
        self.status, self.desired = "DRAINING", 0
        for task in self.past:
            task.stop(BY_SCHEDULER, "Service is being deleted")
