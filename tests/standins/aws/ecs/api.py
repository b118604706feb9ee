"""Owns the ECS operations on services and tasks; moto answers the others."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.ecs.service import Service
from tests.standins.aws.services.load_balancing import api as load_balancers
from tests.standins.models.refusal import Refused


def _services(cloud: Cloud, call: Call) -> dict[str, Service]:
    """Return the services of this account and region, by ARN."""
    return cloud.setdefault(dict, "services", *call.account_region)


def _cluster(call: Call, name: str | None) -> str:
    return (name or "default").rpartition("/")[2]


def _find(cloud: Cloud, call: Call, name: str) -> Service | None:
    cluster = _cluster(call, call.params.get("cluster"))
    found = [
        each
        for each in _services(cloud, call).values()
        if each.cluster == cluster and name in (each.name, each.arn)
    ]
    return found[0] if found else None


def create_service(cloud: Cloud, call: Call) -> dict[str, Any]:
    load_balancers.require_load_balancer(call)
    answer = call.moto()
    if ("containers",) not in cloud.state:
        return answer
    made = answer["service"]
    service = Service(cloud, call, made["serviceArn"], {"desiredCount": 1} | call.params)
    _services(cloud, call)[service.arn] = service
    cloud.start(service.run, f"service {service.name}")
    return {"service": service.described(made)}


def update_service(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    service = _find(cloud, call, call.params["service"])
    if service is None:
        return answer
    service.change(call.params)
    return {"service": service.described(answer["service"])}


def delete_service(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    service = _find(cloud, call, call.params["service"])
    if service is None:
        return answer
    service.delete()
    return {"service": service.described(answer["service"])}


def describe_services(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    known = _services(cloud, call)
    answer["services"] = [
        known[each["serviceArn"]].described(each) if each["serviceArn"] in known else each
        for each in answer["services"]
    ]
    return answer


def list_tasks(cloud: Cloud, call: Call) -> dict[str, Any]:
    p, cluster = call.params, _cluster(call, call.params.get("cluster"))
    wanted = p.get("desiredStatus", "RUNNING")
    name = p.get("serviceName", "").rpartition("/")[2]
    return {
        "taskArns": [
            task.arn
            for service in _services(cloud, call).values()
            if service.cluster == cluster and (not name or service.name == name)
            for task in service.past
            if task.desired_status == wanted
        ]
    }


def describe_tasks(cloud: Cloud, call: Call) -> dict[str, Any]:
    tasks = {t.id: t for service in _services(cloud, call).values() for t in service.past}
    ids = [arn.rpartition("/")[2] for arn in call.params["tasks"]]
    failures = [{"arn": id, "reason": "MISSING"} for id in ids if id not in tasks]
    return {"tasks": [tasks[id].described for id in ids if id in tasks], "failures": failures}


def stop_task(cloud: Cloud, call: Call) -> dict[str, Any]:
    id = call.params["task"].rpartition("/")[2]
    for service in _services(cloud, call).values():
        for task in service.tasks:
            if task.id == id:
                task.stop("UserInitiated", call.params.get("reason", "Task stopped by user"))
                return {"task": task.described}
    raise Refused("InvalidParameterException", "The referenced task was not found.", 400)


def delete_cluster(cloud: Cloud, call: Call) -> dict[str, Any]:
    name = _cluster(call, call.params["cluster"])
    services = [each for each in _services(cloud, call).values() if each.cluster == name]
    if any(each.status != "INACTIVE" for each in services):
        message = "The Cluster cannot be deleted while Services are active."
        raise Refused("ClusterContainsServicesException", message, 400)
    return call.moto()


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
