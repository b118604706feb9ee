"""Owns the inventory: every resource that exists, in all accounts and regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from moto.backends import get_backend
from moto.utilities.utils import get_partition

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.services import vpc_origins
from tests.standins.aws.services.agentcore.lifecycle import update_all_states
from tests.standins.aws.services.ecr import sync_registry

_DELETED = ("deleted", "failed")


@dataclass(frozen=True, order=True)
class InventoryItem:
    """One resource; tags do not count when two are compared."""

    kind: str  # "ec2:vpc", as in Resource Groups Tagging
    id: str
    region: str
    account: str
    arn: str = field(default="", compare=False)
    tags: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.kind:<40} {self.id} ({self.region})"


def inventory(cloud: Cloud) -> frozenset[InventoryItem]:
    """Return everything that exists now, apart from default VPCs and service-linked roles."""
    with cloud.lock:
        update_all_states(cloud)
        return frozenset([*_own_items(cloud), *_moto_items(cloud)])


def _own_items(cloud: Cloud) -> Iterator[InventoryItem]:
    for (account, region), regional in cloud.all_of("agentcore"):
        for runtime in regional.runtimes.values():
            tags = tuple(regional.tags.get(runtime.arn, {}).items())
            yield InventoryItem(
                "bedrock-agentcore:runtime", runtime.id, region, account, runtime.arn, tags
            )
            for endpoint in runtime.endpoints.values():
                if endpoint.name != "DEFAULT":
                    arn = f"{runtime.arn}/runtime-endpoint/{endpoint.name}"
                    tags = tuple(regional.tags.get(arn, {}).items())
                    kind = "bedrock-agentcore:runtime-endpoint"
                    yield InventoryItem(
                        kind, f"{runtime.id}/{endpoint.name}", region, account, arn, tags
                    )
    for (account, region), regional in cloud.all_of("video"):
        for channel in regional.channels.values():
            if channel.state.now(cloud.clock) != "GONE":
                tags = tuple(channel.tags.items())
                yield InventoryItem(
                    "kinesisvideo:channel", channel.name, region, account, channel.arn, tags
                )
    for (account, region), functions in cloud.all_of("functions"):
        for function in functions.values():
            tags = tuple(function.tags.items())
            yield InventoryItem(
                "lambda:function", function.name, region, account, function.arn, tags
            )
    for (account, region), stacks in cloud.all_of("stacks"):
        for stack in stacks:
            if stack.alive:
                wanted = stack.current or stack.target
                tags = tuple(wanted.tags.items()) if wanted else ()
                yield InventoryItem(
                    "cloudformation:stack", stack.name, region, account, stack.id, tags
                )


def _moto_items(cloud: Cloud) -> Iterator[InventoryItem]:
    for account, region, b in _backends("ec2"):
        yield from _ec2(cloud, account, region, b)
    for account, _, b in _backends("iam"):
        for role in b.roles.values():
            if role.path.startswith("/aws-service-role/"):
                continue  # service-linked roles belong to the account
            tags = _pairs(role.tags or [])
            yield InventoryItem("iam:role", role.name, "", account, role.arn, tags)
    for account, region, b in _backends("ecr"):
        sync_registry(cloud, account, region)
        for repository in b.repositories.values():
            arn = repository.arn
            tags = _pairs(b.list_tags_for_resource(arn)["tags"])
            yield InventoryItem("ecr:repository", repository.name, region, account, arn, tags)
            for image in repository.images:
                yield InventoryItem(
                    "ecr:image", f"{repository.name}@{image.get_image_digest()}", region, account
                )
    for account, region, b in _backends("logs"):
        for group in b.groups.values():
            arn = group.arn.removesuffix(":*")
            tags = tuple(b.list_tags_for_resource(arn).items())
            yield InventoryItem("logs:log-group", group.name, region, account, arn, tags)
    for account, region, b in _backends("secretsmanager"):
        for secret in b.secrets.values():
            tags = _pairs(secret.tags or [])
            name = secret.name + (" (to be deleted)" if secret.is_deleted() else "")
            yield InventoryItem("secretsmanager:secret", name, region, account, secret.arn, tags)
    for account, region, b in _backends("dynamodb"):
        for table in b.tables.values():
            tags = _pairs(b.list_tags_of_resource(table.table_arn) or [])
            arn = table.table_arn
            yield InventoryItem("dynamodb:table", table.name, region, account, arn, tags)
    for account, _, b in _backends("s3"):
        for bucket in b.buckets.values():
            yield InventoryItem("s3:bucket", bucket.name, "", account, bucket.arn)
    for account, region, b in _backends("codebuild"):
        for name, project in b.codebuild_projects.items():
            yield InventoryItem("codebuild:project", name, region, account, project.arn)
    for id, found in vpc_origins.origins(cloud).items():
        yield InventoryItem("cloudfront:vpcorigin", id, "", found["AccountId"], found["Arn"])
    yield from _server_items()


def _server_items() -> Iterator[InventoryItem]:
    """Yield the resources of session servers on Fargate."""
    for account, region, b in _backends("ecs"):
        for cluster in b.clusters.values():
            if cluster.status == "ACTIVE":
                tags = _lower_pairs(cluster.tags or [])
                yield InventoryItem("ecs:cluster", cluster.name, region, account, cluster.arn, tags)
        for service in b.services.values():
            if service.status == "ACTIVE":
                tags = _lower_pairs(service.tags or [])
                yield InventoryItem("ecs:service", service.name, region, account, service.arn, tags)
        for family in b.task_definitions.values():
            for task in family.values():
                if task.status == "ACTIVE":
                    yield InventoryItem("ecs:task-definition", task.arn, region, account, task.arn)
    for account, region, b in _backends("elbv2"):
        for arn, balancer in b.load_balancers.items():
            tags = tuple(b.tagging_service.get_tag_dict_for_resource(arn).items())
            kind = "elasticloadbalancing:loadbalancer/app"
            yield InventoryItem(kind, balancer.name, region, account, arn, tags)
        for arn, group in b.target_groups.items():
            tags = tuple(b.tagging_service.get_tag_dict_for_resource(arn).items())
            kind = "elasticloadbalancing:targetgroup"
            yield InventoryItem(kind, group.name, region, account, arn, tags)
    for account, region, b in _backends("applicationautoscaling"):
        for found in b.targets.values():
            yield from (
                InventoryItem("application-autoscaling:scalable-target", resource, region, account)
                for resource in found
            )
    for account, _, b in _backends("cloudfront"):
        for distribution in b.distributions.values():
            tags = _pairs(b.list_tags_for_resource(distribution.arn)["Tags"])
            kind = "cloudfront:distribution"
            yield InventoryItem(
                kind, distribution.distribution_id, "", account, distribution.arn, tags
            )


def _lower_pairs(tags: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((tag["key"], tag["value"]) for tag in tags)


def _pairs(tags: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((tag["Key"], tag["Value"]) for tag in tags)


def _backends(service: str) -> Iterator[tuple[str, str, Any]]:
    for account, regions in list(get_backend(cast(Any, service)).items()):
        for region, backend in list(regions.items()):
            yield account, region, backend


def _ec2(cloud: Cloud, account: str, region: str, b: Any) -> Iterator[InventoryItem]:
    default_vpcs = {
        vpc.id for vpc in b.vpcs.values() if vpc.is_default == "true" or vpc.is_default is True
    }
    states = cloud.setdefault(dict, "nat gateways")
    place = f"arn:{get_partition(region)}:ec2:{region}:{account}"

    def item(kind: str, found: Any) -> InventoryItem:
        arn = f"{place}:{kind}/{found.id}"
        tags = tuple((t["key"], t["value"]) for t in found.get_tags())
        return InventoryItem(f"ec2:{kind}", found.id, region, account, arn, tags)

    for vpc in b.vpcs.values():
        if vpc.id not in default_vpcs:
            yield item("vpc", vpc)
    for subnets in b.subnets.values():
        yield from (item("subnet", s) for s in subnets.values() if s.vpc_id not in default_vpcs)
    yield from (item("internet-gateway", g) for g in b.internet_gateways.values())
    for gateway in b.nat_gateways.values():
        state = states.get(gateway.id)
        if (state.now(cloud.clock) if state else gateway.state) not in _DELETED:
            yield item("natgateway", gateway)
    for table in b.route_tables.values():
        if table.vpc_id not in default_vpcs and not table.main_association_id:
            yield item("route-table", table)
    for groups in b.groups.values():
        for group in groups.values():
            if group.name != "default":
                yield item("security-group", group)
    for endpoint in b.vpc_end_points.values():
        if endpoint.state != "deleted":
            yield item("vpc-endpoint", endpoint)
    for eni in b.enis.values():
        yield item("network-interface", eni)
    for address in b.addresses:
        arn = f"{place}:elastic-ip/{address.allocation_id}"
        tags = tuple(
            (t["key"], t["value"])
            for t in b.describe_tags({"resource-id": [address.allocation_id]})
        )
        yield InventoryItem("ec2:elastic-ip", address.allocation_id, region, account, arn, tags)
