"""The resource types of ECS: clusters, task definitions and services."""

from __future__ import annotations

import time
from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
)
from tests.standins.aws.cloudformation.types.properties import request_for

_POLL_SECONDS = 0.1  # real seconds


def _ecs_tags(c: Context) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in c.tags.items()]


def _ecs_retag(arn: str, c: Context, tags: dict[str, str], gone: list[str]) -> None:
    ecs = c.client("ecs")
    if gone:
        ecs.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        ecs.tag_resource(resourceArn=arn, tags=pairs)


def _cluster(c: Context, p: Properties) -> str:
    c.client("ecs").create_cluster(**request_for(c, "ecs", "CreateCluster", p), tags=_ecs_tags(c))
    return p["ClusterName"]


def _cluster_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ecs").describe_clusters(clusters=[physical])["clusters"]
    if not found or found[0]["status"] != "ACTIVE":
        raise Failed(f"Cluster {physical} not found.")
    return {"Arn": found[0]["clusterArn"]}


def _cluster_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ecs").delete_cluster(cluster=physical)


def _cluster_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ecs_retag(_cluster_attributes(c, physical)["Arn"], c, tags, gone)


def _task(c: Context, p: Properties) -> str:
    request = request_for(c, "ecs", "RegisterTaskDefinition", p)
    made = c.client("ecs").register_task_definition(**request, tags=_ecs_tags(c))
    return made["taskDefinition"]["taskDefinitionArn"]


def _task_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ecs").describe_task_definition(taskDefinition=physical)["taskDefinition"]
    return {"TaskDefinitionArn": found["taskDefinitionArn"]}


def _task_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ecs").deregister_task_definition(taskDefinition=physical)


def _task_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ecs_retag(physical, c, tags, gone)


def _service(c: Context, p: Properties) -> str:
    request = {"DesiredCount": 1} | dict(p)
    made = c.client("ecs").create_service(
        **request_for(c, "ecs", "CreateService", request), tags=_ecs_tags(c)
    )
    return made["service"]["serviceArn"]


def _service_found(c: Context, physical: str) -> dict[str, Any]:
    cluster = physical.split("/")[-2]
    found = c.client("ecs").describe_services(cluster=cluster, services=[physical])["services"]
    if not found or found[0]["status"] != "ACTIVE":
        raise Failed(f"Service {physical} not found.")
    return found[0]


def _service_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _service_found(c, physical)
    return {"Name": found["serviceName"], "ServiceArn": physical}


def _service_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    request = request_for(c, "ecs", "UpdateService", {**p, "Service": physical})
    c.client("ecs").update_service(**request)


def _service_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ecs").delete_service(cluster=p["Cluster"], service=physical, force=True)


def _service_settled(c: Context, physical: str) -> bool:
    """Return True when only the last deployment is left; moto alone never reaches that."""
    if c.cloud.state.get(("containers",)) is None:
        return True
    primary, *others = _service_found(c, physical)["deployments"]
    if any(each["rolloutState"] == "FAILED" for each in (primary, *others)):
        raise Failed(
            "Resource handler returned message: \"Error occurred during operation 'ECS Deployment "
            "Circuit Breaker was triggered.'\" (HandlerErrorCode: GeneralServiceException)"
        )
    return _poll_slowly(primary["rolloutState"] == "COMPLETED" and not others)


def _service_gone(c: Context, physical: str) -> bool:
    asked = {"cluster": physical.split("/")[-2], "services": [physical]}
    found = c.client("ecs").describe_services(**asked)["services"]
    return _poll_slowly(all(each["status"] == "INACTIVE" for each in found))


def _poll_slowly(done: bool) -> bool:
    """Return `done`, after a pause if it is False: processes take seconds, and each poll costs."""
    if not done:
        time.sleep(_POLL_SECONDS)
    return done


def _service_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ecs_retag(physical, c, tags, gone)


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::ECS::Cluster": ResourceType(
        _cluster, _cluster_delete, _cluster_attributes, retag=_cluster_retag,
        named_by="ClusterName",
    ),
    "AWS::ECS::TaskDefinition": ResourceType(
        _task, _task_delete, _task_attributes, retag=_task_retag
    ),
    "AWS::ECS::Service": ResourceType(
        _service, _service_delete, _service_attributes, _service_update, _service_settled,
        _service_gone, retag=_service_retag, named_by="ServiceName",
    ),
}  # fmt: skip
